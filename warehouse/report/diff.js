"use strict";
// Word diff: the longest common subsequence of two texts' words.
const MOST_WORDS = 2000;

// Words, each with the space behind it; of scripts without spaces, as the browser's dictionaries divide them.
const wordsOf = (text) => {
  const words = [];
  for (const { segment } of new Intl.Segmenter(undefined, { granularity: "word" }).segment(text)) {
    if (words.length && segment.trim() === "") words[words.length - 1] += segment;
    else words.push(segment);
  }
  return words;
};

// Returns [kind, text] in the order of reading, `kind` an element's name: "ins" is in `text` alone, "del" in
// `other` alone, "span" in both. Null where a text has more than `MOST_WORDS` words.
const wordDiff = (other, text) => {
  const [left, right] = [wordsOf(other), wordsOf(text)];
  if (Math.max(left.length, right.length) > MOST_WORDS) return null;
  const width = right.length + 1;
  const common = new Uint16Array((left.length + 1) * width); // of what is left from (i, j) on
  for (let i = left.length - 1; i >= 0; i--) {
    for (let j = right.length - 1; j >= 0; j--) {
      const at = i * width + j;
      common[at] = left[i] === right[j]
        ? common[at + width + 1] + 1
        : Math.max(common[at + width], common[at + 1]);
    }
  }
  const parts = [];
  const add = (kind, word) => {
    if (parts.at(-1)?.[0] === kind) parts.at(-1)[1] += word;
    else parts.push([kind, word]);
  };
  let [i, j] = [0, 0];
  while (i < left.length || j < right.length) {
    const at = i * width + j;
    if (i < left.length && j < right.length && left[i] === right[j]) add("span", (i++, right[j++]));
    else if (i === left.length) add("ins", right[j++]);
    else if (j === right.length || common[at + width] >= common[at + 1]) add("del", left[i++]);
    else add("ins", right[j++]);
  }
  return parts;
};
