// Two sources of answers that can be asked the same: the page's own data, and `xp view`.
//   page(asked, after, id) -> { answers, next, n, searched, of }: answers as `asked` (the parts of a link),
//     behind the key `after`; `next` is the key for the next page, null at the end; `n` is how many there
//     are, where known. Fewer than a page before the end: `searched` answers `of` so many were looked through
//   beside(id) -> all answers to the question of an answer
const PAGE = 50;

const unpacked = ({ heads, questions, answers }) => answers.map((answer) => {
  const question = questions[answer.question];
  const prompt = (heads[answer.head] ?? "") + answer.prompt;
  return { ...answer, question, prompt, id: `${answer.cell}/${question.item}` };
});
// { score, isWrong } on a measure: the score is null where the answer is unscored; null if it has no verdict.
const verdictOf = (answer, measure) => {
  const found = answer.scores.find(([name]) => name === measure);
  return found ? { score: found[1], isWrong: found[4] } : null;
};

const embedded = (data) => {
  const all = unpacked(data);
  const filters = {
    wrong: (answer, measure) => verdictOf(answer, measure)?.isWrong,
    disagree: (answer) => answer.disputed,
    unscored: (answer, measure) => verdictOf(answer, measure)?.score === null,
    cut: (answer) => answer.finish === "length",
    failed: (answer) => answer.text === null,
  };
  const has = (answer, text) => [answer.text, answer.question.instruction, answer.question.item]
    .some((place) => place?.toLowerCase().includes(text.toLowerCase()));
  const facets = ["dataset", "language", "category", "model", "method", "train_languages"];
  const isAsked = (answer, asked) =>
    facets.every((facet) => !asked[facet] || (answer[facet] ?? answer.question[facet]) === asked[facet])
    && (!asked.only || filters[asked.only](answer, asked.measure))
    && (!asked.search || has(answer, asked.search));

  const byQuestion = Map.groupBy(all, (answer) => answer.question);
  const meanOfOther = (answer, asked) => {
    const scores = byQuestion.get(answer.question)
      .filter((other) => other.method === asked.against)
      .filter((other) => other.model === answer.model)
      .map((other) => verdictOf(other, asked.measure)?.score ?? null)
      .filter((score) => score !== null);
    return scores.length ? scores.reduce((sum, score) => sum + score, 0) / scores.length : null;
  };
  const keyOf = (answer, asked) => {
    const score = verdictOf(answer, asked.measure)?.score ?? null;
    if (score === null || asked.sort === "lowest") return score;
    if (asked.sort === "highest") return -score;
    const other = meanOfOther(answer, asked);
    if (other === null) return null;
    return asked.sort === "worse" ? score - other : other - score;
  };
  const sorted = (found, asked) => found
    .map((answer) => [keyOf(answer, asked), answer])
    .filter(([key]) => key !== null)
    .sort(([one], [another]) => one - another)
    .map(([, answer]) => answer);

  return {
    page: async (asked, after, id) => {
      const matching = all.filter((answer) => isAsked(answer, asked));
      const found = asked.sort ? sorted(matching, asked) : matching;
      const start = after ?? 0;
      const end = Math.max(start + PAGE, found.findIndex((answer) => answer.id === id) + 1);
      return { answers: found.slice(start, end), next: end < found.length ? end : null, n: found.length };
    },
    beside: async (id) => {
      const question = all.find((answer) => answer.id === id)?.question;
      return byQuestion.get(question) ?? [];
    },
  };
};

const served = (base) => {
  const ask = async (path, parts) => {
    const response = await fetch(`${base}/${path}?${new URLSearchParams(parts)}`);
    const found = await response.json();
    if (!response.ok) throw new Error(found.error);
    return found;
  };
  return {
    page: async (asked, after) => {
      const found = await ask("page", after === null ? asked : { ...asked, after: JSON.stringify(after) });
      const isWhole = !["only", "search", "category", "sort"].some((part) => asked[part]);
      return { ...found, answers: unpacked(found), n: isWhole ? found.of : null };
    },
    beside: async (id) => unpacked(await ask("beside", { answer: id })),
  };
};
