"""Refusal phrases by language, on lower-case text with straight apostrophes and single spaces."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Phrases:
    """Phrases of one language."""

    declines: re.Pattern[str]
    """The writer will not or cannot do what was asked."""
    turns: re.Pattern[str]
    """Turns to doing what was declined after all, in part at least."""


def _either(*patterns: str) -> str:
    return "|".join(f"(?:{pattern})" for pattern in patterns)


# What a writer declines to do. "I can't wait", "no puedo dormir" and the like are said in letters and
# stories.
_DO_EN = _either(
    "help|assist|do (?:that|this|it|so)|provide|give|share|tell|answer|respond|support|recommend|advise",
    "fulfil|comply|complete|write|create",
    "generate|produce|engage|participate|access|open|see|view|browse|discuss|offer|encourage|condone"
    "|promote|predict|know|book|make|call|send",
    "explain|teach|describe|suggest|reveal|disclose|facilitate|process|perform|take part|physically",
    "be (?:part|involved)",
)
_DO_FR = _either(
    "aider|assister|faire|fournir|donner|partager|dire|répondre|conseiller|recommander|écrire|rédiger|créer"
    "|générer|produire|participer|accéder",
    "ouvrir|voir|consulter|discuter|proposer|encourager|prédire|prévoir|savoir|réserver|appeler|envoyer"
    "|expliquer|décrire|suggérer|révéler",
    "divulguer|communiquer|renseigner|passer|satisfaire|accepter|accomplir|traiter|apporter|indiquer|lire"
    "|transmettre|effectuer",
)
_DO_ES = _either(
    "ayudar|asistir(?=te|le|os)|hacer|proporcionar|dar|compartir|decir|responder|contestar|aconsejar"
    "|recomendar|escribir|redactar|crear|generar|producir",
    "participar|acceder|abrir|ver|consultar|hablar"
    " de|ofrecer|fomentar|predecir|saber|reservar|llamar|enviar|explicar|describir|sugerir|revelar",
    "divulgar|facilitar|opinar|cumplir|atender|mandar|realizar|tramitar|leer|apoyar|prestar",
)
_SOFT_EN = "(?:(?:really|simply|just|also|currently|unfortunately) )?"
_SOFT_FR = "(?:(?:malheureusement|hélas|vraiment|simplement) )?"
_TO_FR = "(?:(?:vous|te|le|la|les|y|en|me) |[tlm]')*"

PHRASES = {
    "en": Phrases(
        re.compile(
            _either(
                rf"\b(?:i|we) {_SOFT_EN}(?:can(?:'t|not| not)|could(?:n't| not)|won't|will not|must not)"
                rf" {_SOFT_EN}(?:be able to )?(?:{_DO_EN})\b",
                r"(?:\bsorry|\bnope|\bno|\bassistant|\bmodel|\bchatbot),? (?:(?:but|and|so)"
                rf" )?(?:can't|cannot) (?:{_DO_EN})\b",
                rf"\bi(?: am|'m) {_SOFT_EN}(?:not (?:able|allowed|permitted|authori[sz]ed|willing|in a"
                rf" position)|unable) to (?:{_DO_EN}|use)\b",
                r"\bi(?: am|'m) not (?:comfortable (?:with|\w+ing)|capable of|going to"
                r" (?:help|answer|write|do|give|tell|explain|share))\b",
                r"\bi (?:must|have to|need to|will have to) (?:\w+ )?(?:decline|refuse)\b|\bi (?:\w+ly"
                r" )?(?:decline|refuse) to\b",
                r"\bi (?:do not|don't) (?:\w+ )?have (?:the (?:ability|capability|means) to|(?:any )?access"
                r" to|(?:any )?information (?:about|on))",
                r"\bi (?:do not|don't) (?:\w+ )?have (?:a"
                r" )?(?:real-time|personal|feelings|opinions|preferences|favou?rite|eyes)",
                r"\bi(?:'d| would) rather not (?:say|answer|help|do|write|discuss)",
                r"\bagainst my (?:\w+ )?(?:guidelines|programming|polic(?:y|ies)|principles|rules)\b",
                r"\b(?:this|that) is(?: not|n't)? (?:something|a \w+) (?:that )?i(?:'m able to|"
                r" (?:can|cannot|can't|won't|will not)) "
                r"(?:do|discuss|share|help with|talk about)\b",
                r"\bwould(?: not|n't) be (?:right|appropriate|ethical|responsible) (?:for me|of me|to"
                r" (?:help|share|give|explain|write))\b",
                r"\bas an? (?:ai|artificial|language"
                r" model|virtual|digital)\b[^.!?]{0,60}\b(?:can't|cannot|don't have|do not have|unable|not"
                r" able)\b",
            )
        ),
        re.compile(
            _either(
                r"\bhere (?:is|are)\b|\bhere's\b",
                r"\b(?:but|however|that said|still),? i can (?:\w+ly"
                r" )?(?:give|tell|explain|describe|guide|show|walk)\b",
                r"\b(?:but|however|that said|still),? i can share (?:some|my|a few)\b",
                r"\b(?:but|however|that said|still)\b[^.!?\n]{0,30}\b(?:in"
                r" general|generally|usually|typically|i would say|i'd say|if i had to)\b",
            )
        ),
    ),
    "fr": Phrases(
        re.compile(
            _either(
                rf"\bje (?:ne |n'){_TO_FR}(?:peux|puis|pourrai|pourrais|saurais|vais|veux|souhaite)"
                rf" {_SOFT_FR}(?:pas|rien|plus) "
                rf"{_SOFT_FR}{_TO_FR}(?:{_DO_FR})\b",
                rf"\bje ne (?:peux|puis|saurais) {_TO_FR}(?:{_DO_FR}) (?:ni|aucun)",
                rf"\bje ne saurais {_TO_FR}(?:{_DO_FR})\b",
                rf"\bje (?:ne |n'){_TO_FR}(?:aiderai|répondrai|donnerai|dirai|expliquerai|fournirai|écrirai"
                rf"|participerai) {_SOFT_FR}pas\b",
                rf"\bje ne (?:suis|serai) {_SOFT_FR}pas (?:(?:en mesure|capable) d|(?:autorisée?|habilitée?|à"
                r" même) (?:à|de) )",
                rf"\bje crains de ne pas pouvoir {_TO_FR}(?:{_DO_FR})\b|\bje ne ferai pas (?:cela|ça)\b|\bil"
                r" ne m'est pas (?:permis|possible) d",
                rf"\bil m'est {_SOFT_FR}(?:impossible|interdit) d|\bje suis {_SOFT_FR}(?:incapable|dans"
                r" l'impossibilité) d",
                r"\bje (?:dois|préfère) (?:\w+ )?(?:refuser|décliner|ne pas \w+)\b|\bje (?:refuse|décline)\b",
                rf"\bje n'ai {_SOFT_FR}(?:pas|aucun) (?:accès|la"
                r" (?:possibilité|capacité)|d'(?:accès|avis|opinions?|yeux|informations?))",
                rf"\bje n'ai {_SOFT_FR}(?:pas|aucun) de (?:préférences?|film|moyens?)",
                r"\bje ne (?:dispose|possède) (?:pas|d'aucune?)\b",
                r"\bcontraire à (?:mes|mon) (?:règles|principes|consignes|éthique)\b",
                r"\ben tant qu'(?:ia|intelligence|assistante?|modèle)\b[^.!?]{0,60}\b(?:ne"
                r" (?:peux|puis|dispose|possède)|n'ai (?:pas|aucun))\b",
            )
        ),
        re.compile(
            _either(
                r"\bvoici\b|\bvoilà comment\b",
                r"\b(?:mais|cependant|toutefois|néanmoins|cela dit),? je peux (?:vous |te"
                r" |t')?(?:donner|dire|expliquer|indiquer|décrire|guider)\b",
                r"\b(?:mais|cependant|toutefois|néanmoins|cela dit)\b[^.!?\n]{0,30}\b(?:en"
                r" général|généralement|d'habitude|je dirais|si je devais)\b",
            )
        ),
    ),
    "es": Phrases(
        re.compile(
            _either(
                r"\bno (?:(?:te|le|les|os|lo|la|me) )*(?:puedo|podré|podría|podemos|voy a|quiero|deseo)"
                r" (?:\w+mente )?"
                rf"(?:{_DO_ES})(?:te|le|les|os|lo|la|los|las|me)*\b",
                r"\bno (?:estoy|soy) (?:en condiciones de|autorizad[oa] (?:a|para)|capacitad[oa] para|capaz"
                rf" de) (?:{_DO_ES})",
                rf"\b(?:no me es posible|me es imposible|me resulta imposible) (?:{_DO_ES})",
                r"\b(?:debo|tengo que|prefiero) (?:rechazar|negarme|declinar)\b|\bprefiero no \w+r\b|\bme"
                r" niego a\b|\brechazo (?:esta|tu|su) ",
                r"\bno me (?:está|es) permitido\b|\bno lo voy a hacer\b|\bno lo haré\b",
                r"\bno (?:tengo|dispongo de) (?:acceso|la (?:capacidad|posibilidad)|los medios|información"
                r" (?:sobre|de))",
                r"\bno tengo (?:opiniones|preferencias|gustos|(?:una )?película)",
                r"\b(?:en contra de|contrario a|infringe) mis"
                r" (?:normas|principios|reglas|políticas|directrices)\b",
                r"\bcomo (?:una |un )?(?:ia|inteligencia artificial|asistente|modelo)\b[^.!?]{0,60}\bno"
                r" (?:puedo|tengo|dispongo|poseo)\b",
            )
        ),
        re.compile(
            _either(
                r"\baquí (?:tienes|tiene|van|va|está|están)\b|\bestos son\b",
                r"\b(?:pero|sin embargo|no obstante|ahora bien|aun así),? (?:sí )?puedo"
                r" (?:dar|decir|explicar|indicar|describir|guiar)\w*",
                r"\b(?:pero|sin embargo|no obstante|aun así)\b[^.!?\n]{0,30}\b(?:en"
                r" general|generalmente|normalmente|por lo general|diría|si tuviera)\b",
            )
        ),
    ),
}
