"use strict";
// Leafs through the answers. Everything a model wrote enters the page through textContent: as text, whatever it contains.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  if (data.items.length === 0) return;
  const at = (id) => document.getElementById(id);
  const [dataset, item, language, raw, prompt] = ["pick-dataset", "pick-item", "pick-language", "show-raw", "show-prompt"].map(at);

  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    if (className?.startsWith("text")) made.dir = "auto"; // answers come in every script
    return made;
  };
  const fill = (select, options, keep) => {
    select.replaceChildren(...options.map(([value, text]) => Object.assign(element("option", text), { value })));
    if (options.some(([value]) => value === keep)) select.value = keep;
  };
  const short = (text) => (text.length > 70 ? text.slice(0, 70) + "…" : text);

  const itemsHere = () => data.items.filter((entry) => entry.dataset === dataset.value);
  const chosen = () => data.items[Number(item.value)];
  const asked = () => chosen().languages.find((entry) => entry.language === language.value);

  const fillItems = () => {
    fill(item, itemsHere().map((entry) => [String(data.items.indexOf(entry)), `${entry.item}: ${short(entry.languages[0].instruction ?? "")}`]));
    fillLanguages();
  };
  const fillLanguages = () => {
    fill(language, chosen().languages.map((entry) => [entry.language, entry.language]), language.value);
    show();
  };

  const score = ([measure, value, unscored, reason]) => {
    const made = element("li", value === null ? `${measure}: unscored` : `${measure} ${Number(value.toFixed(2))}`, value === null ? "unscored" : "");
    const why = value === null ? unscored : reason;
    if (why) made.title = why;
    return made;
  };
  const reasons = (answer) => {
    const told = answer.scores.filter(([, value, unscored, reason]) => (value === null ? unscored : reason));
    const details = element("details");
    details.append(element("summary", "What the judges say"));
    const list = element("dl");
    for (const [measure, value, unscored, reason] of told) list.append(element("dt", measure), element("dd", value === null ? unscored : reason));
    details.append(list);
    return told.length ? [details] : [];
  };
  const finish = (answer) => {
    const ends = { eos: "ended by itself", stop: "stopped at a stop string", length: "cut at the length limit", recorded: "recorded", missing: "missing", error: "failed" };
    const tokens = answer.tokens === null ? "" : `, ${answer.tokens} tokens`;
    return (ends[answer.finish] ?? answer.finish) + tokens + (answer.stop ? ` (${JSON.stringify(answer.stop)})` : "");
  };
  const card = (answer) => {
    const made = element("article", undefined, "card");
    const about = element("p", `${finish(answer)} · `, "aside");
    about.append(element("code", answer.cell));
    made.append(element("h4", answer.label), about);
    if (prompt.checked) made.append(element("div", data.heads[answer.head] + answer.prompt, "text prompt"));
    if (answer.text === null) made.append(element("p", `No answer: ${answer.error ?? "no reason given"}`, "none"));
    else if (answer.text === "") made.append(element("p", "The answer is empty.", "none"));
    else if (!raw.checked) made.append(element("div", answer.text, "text"));
    if (raw.checked && (answer.raw ?? answer.text)) made.append(element("div", answer.raw ?? answer.text, "text raw"));
    const scores = element("ul", undefined, "scores");
    scores.append(...answer.scores.map(score));
    made.append(scores, ...reasons(answer));
    return made;
  };

  const show = () => {
    const entry = asked();
    const known = [
      entry.category && `Category: ${entry.category}`,
      entry.accepted.length && `Accepted: ${entry.accepted.join(" · ")}`,
      entry.reference && `Reference: ${entry.reference}`,
    ].filter(Boolean);
    at("asked").replaceChildren(element("p", entry.instruction ?? ""), ...(known.length ? [element("p", known.join("\n"), "aside")] : []));
    at("given").replaceChildren(...entry.answers.map(card));
    at("previous").disabled = item.selectedIndex === 0;
    at("next").disabled = item.selectedIndex === item.options.length - 1;
  };
  const move = (by) => {
    item.selectedIndex += by;
    fillLanguages();
  };

  dataset.addEventListener("change", fillItems);
  item.addEventListener("change", fillLanguages);
  for (const control of [language, raw, prompt]) control.addEventListener("change", show);
  at("previous").addEventListener("click", () => move(-1));
  at("next").addEventListener("click", () => move(1));

  fill(dataset, [...new Set(data.items.map((entry) => entry.dataset))].map((name) => [name, name]));
  dataset.parentElement.hidden = dataset.options.length === 1;
  at("browser").hidden = false;
  fillItems();
})();
