"""Print precision and recall of the detectors; with `--errors` their errors in the tune half.

python -m tests.detectors [DETECTOR ...] [--errors]
"""

import sys

from tests.detectors.measure import DETECTORS, LANGUAGES, Labelled, alarms, labelled, measure, share

COLUMNS = "{:<12} {:<4} {:<9} {:>4} {:>4} {:>9} {:>20} {:>20}"


def table(detectors: tuple[str, ...] = DETECTORS) -> str:
    """Return a line per detector, language and half.

    Texts with and without the error, abstentions on either, precision and recall.
    """
    lines = [COLUMNS.format("detector", "", "texts", "with", "w/o", "abstained", "precision", "recall")]
    for detector in detectors:
        texts = labelled(detector)
        said = alarms(detector, texts)
        for language in LANGUAGES:
            for half in ("all", "tune", "held out"):
                pairs = [
                    (text, alarm)
                    for text, alarm in zip(texts, said, strict=True)
                    if _is_of(text, language, half)
                ]
                found = measure(*zip(*pairs, strict=True))
                abstained = f"{found.abstained_with_error} + {found.abstained_without}"
                lines.append(
                    COLUMNS.format(
                        detector,
                        language,
                        half,
                        found.n_with_error,
                        found.n_without,
                        abstained,
                        share(found.precision),
                        share(found.recall),
                    )
                )
    return "\n".join(lines)


def errors(detector: str) -> str:
    """List the errors of a detector in the tune half; those of the held-out half are not shown."""
    texts = [text for text in labelled(detector) if text.half == "tune"]
    wrong = [
        (text, alarm)
        for text, alarm in zip(texts, alarms(detector, texts), strict=True)
        if alarm is not text.has_error
    ]
    kinds = {True: "false alarm", False: "missed", None: "abstained"}
    return "\n".join(f"{detector} {text.language} {kinds[alarm]}: {text.text!r}" for text, alarm in wrong)


def _is_of(text: Labelled, language: str, half: str) -> bool:
    return text.language == language and half in ("all", text.half)


if __name__ == "__main__":
    named = tuple(name for name in sys.argv[1:] if name in DETECTORS) or DETECTORS
    sys.stdout.write(table(named) + "\n")
    if "--errors" in sys.argv:
        sys.stdout.write("\n".join(filter(None, map(errors, named))) + "\n")
