"use strict";
// Browses the answers. Everything a model wrote enters the page through textContent: as text, whatever it
// contains.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  if (data.items.length === 0) return;
  const at = (id) => document.getElementById(id);
  const controls = ["pick-dataset", "pick-item", "pick-language", "show-raw", "show-prompt"];
  const [dataset, item, language, raw, prompt] = controls.map(at);

  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    if (className?.startsWith("text")) made.dir = "auto"; // answers come in every script
    return made;
  };
  const fill = (select, options, keep) => {
    const made = options.map(([value, text]) => Object.assign(element("option", text), { value }));
    select.replaceChildren(...made);
    if (options.some(([value]) => value === keep)) select.value = keep;
  };
  const short = (text) => (text.length > 70 ? text.slice(0, 70) + "…" : text);

  const itemsHere = () => data.items.filter((entry) => entry.dataset === dataset.value);
  const chosen = () => data.items[Number(item.value)];
  const asked = () => chosen().languages.find((entry) => entry.language === language.value);

  const fillItems = () => {
    const label = (entry) => `${entry.item}: ${short(entry.languages[0].instruction ?? "")}`;
    fill(item, itemsHere().map((entry) => [String(data.items.indexOf(entry)), label(entry)]));
    fillLanguages();
  };
  const fillLanguages = () => {
    fill(language, chosen().languages.map((entry) => [entry.language, entry.language]), language.value);
    show();
  };

  const score = ([measure, value, unscored, reason]) => {
    const made = value === null
      ? element("li", `${measure}: unscored`, "unscored")
      : element("li", `${measure} ${Number(value.toFixed(2))}`, "");
    const why = value === null ? unscored : reason;
    if (why) made.title = why;
    return made;
  };
  const reasons = (answer) => {
    const given = answer.scores.filter(([, value, unscored, reason]) => (value === null ? unscored : reason));
    const details = element("details");
    details.append(element("summary", "What the judges say"));
    const list = element("dl");
    for (const [measure, value, unscored, reason] of given) {
      list.append(element("dt", measure), element("dd", value === null ? unscored : reason));
    }
    details.append(list);
    return given.length ? [details] : [];
  };
  const finish = (answer) => {
    const ends = {
      eos: "ended by itself", stop: "stopped at a stop string", length: "cut at the length limit",
      recorded: "recorded", missing: "missing", error: "failed",
    };
    const tokens = answer.tokens === null ? "" : `, ${answer.tokens} tokens`;
    const stop = answer.stop ? ` (${JSON.stringify(answer.stop)})` : "";
    return (ends[answer.finish] ?? answer.finish) + tokens + stop;
  };
  const card = (answer) => {
    const made = element("article", undefined, "card");
    const about = element("p", `${finish(answer)} · `, "aside");
    about.append(element("code", answer.cell));
    made.append(element("h4", answer.label), about);
    if (prompt.checked) made.append(element("div", data.heads[answer.head] + answer.prompt, "text prompt"));
    if (answer.text === null) {
      made.append(element("p", `No answer: ${answer.error ?? "no reason given"}`, "none"));
    }
    else if (answer.text === "") made.append(element("p", "The answer is empty.", "none"));
    else if (!raw.checked) made.append(element("div", answer.text, "text"));
    const written = answer.raw ?? answer.text;
    if (raw.checked && written) made.append(element("div", written, "text raw"));
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
    const aside = known.length ? [element("p", known.join("\n"), "aside")] : [];
    at("asked").replaceChildren(element("p", entry.instruction ?? ""), ...aside);
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
