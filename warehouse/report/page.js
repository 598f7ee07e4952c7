// Browses the answers. Everything a model wrote enters the page through textContent: as text, whatever it
// contains. What is shown is in the page's fragment, as `warehouse.report.browser` describes it.
{
  const data = JSON.parse(document.getElementById("data").textContent);
  const source = data.served ? served(data.served) : embedded(data);
  const at = (id) => document.getElementById(id);
  const controls = [...document.querySelectorAll("#browser [data-part]")];
  const faults = new Map(Object.entries(data.faults)); // of measures that are freedom from one
  const [list, raw, prompt] = ["list", "show-raw", "show-prompt"].map(at);

  let listed = []; // answers in the list
  let next = null; // key of the next page
  let chosen = null; // the id of the answer that is shown
  let asking = 0; // which of several requests is the last
  let busy = 0;

  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    if (className?.startsWith("text")) made.dir = "auto"; // answers come in every script
    return made;
  };

  const busily = (work) => async (...given) => {
    at("browser").setAttribute("aria-busy", String(++busy > 0));
    try {
      await work(...given);
    } finally {
      at("browser").setAttribute("aria-busy", String(--busy > 0));
    }
  };

  // Links
  const asked = () => {
    const set = controls.filter(({ value }) => value);
    return Object.fromEntries(set.map(({ dataset, value }) => [dataset.part, value]));
  };
  const linkTo = (parts) => `#answers?${new URLSearchParams(parts)}`;
  const read = () => {
    const parts = new URLSearchParams(location.hash.startsWith("#answers?") ? location.hash.slice(9) : "");
    for (const control of controls) {
      control.value = parts.get(control.dataset.part) ?? "";
      if (control.selectedIndex === -1) control.selectedIndex = 0; // a value that is not among the options
      if (control.dataset.part === "measure" && !control.value) control.selectedIndex = 0;
    }
    chosen = parts.get("answer");
  };
  const write = () => {
    const parts = chosen ? { ...asked(), answer: chosen } : asked();
    history.replaceState(null, "", linkTo(parts));
  };

  // The list
  const shownScore = (answer) => {
    const verdict = verdictOf(answer, asked().measure);
    const fault = faults.get(asked().measure);
    if (verdict === null || (fault && verdict.score !== null && !verdict.isWrong)) return element("span");
    if (verdict.score === null) return element("span", "unscored", "score unscored");
    const shown = fault ?? String(Number(verdict.score.toFixed(2)));
    return element("span", shown, verdict.isWrong ? "score wrong" : "score");
  };
  const row = (answer) => {
    const made = element("li", undefined, "row");
    made.setAttribute("role", "option");
    made.dataset.id = answer.id;
    const { item, language } = answer.question;
    made.append(
      element("span", `${item} · ${language} · ${answer.label}`, "about"),
      shownScore(answer),
      element("span", (answer.text ?? "no answer").slice(0, 160), "text"),
    );
    made.addEventListener("click", () => choose(answer.id));
    return made;
  };
  const count = (n) => {
    const many = (n ?? listed.length).toLocaleString("en");
    return next === null || n !== null ? `${many} answers` : `the first ${many} answers`;
  };
  const searched = (found) => {
    const [n, of] = [found.searched, found.of].map((many) => many.toLocaleString("en"));
    return `${listed.length} found in ${n} of ${of} answers so far …`;
  };
  // A page of them. Where they are rare, the server is asked again and again, each time for a part.
  const load = busily(async (after) => {
    const request = ++asking;
    at("count").textContent = "Looking …";
    at("count").classList.remove("warning");
    let isShown = after !== null;
    try {
      const parts = asked();
      const isCompared = ["worse", "better"].includes(parts.sort);
      if (isCompared && !(parts.method && parts.against)) {
        throw new Error("Choose two methods: one to show, one to compare with.");
      }
      let missing = PAGE;
      do {
        const found = await source.page(parts, after, chosen);
        if (request !== asking) return;
        if (after === null) {
          listed = [];
          list.replaceChildren();
        }
        listed = [...listed, ...found.answers];
        list.append(...found.answers.map(row));
        if (!isShown && listed.length > 0) {
          isShown = true;
          show(chosen ?? listed[0].id);
        }
        missing -= found.answers.length;
        after = next = found.next;
        at("count").textContent = missing > 0 && next !== null ? searched(found) : count(found.n);
      } while (missing > 0 && next !== null);
    } catch (error) {
      if (request !== asking) return;
      if (after === null) {
        [listed, next] = [[], null];
        list.replaceChildren();
      } else next = after; // asked for again at the next scroll
      at("count").textContent = error.message;
      at("count").classList.add("warning");
    }
    if (!isShown) await show(chosen);
  });
  let wish = 0;
  const reload = busily(async (pause = 0) => {
    const mine = ++wish;
    await new Promise((end) => setTimeout(end, pause));
    if (mine === wish) await load(null); // else asked for something else meanwhile
  });

  // One answer, beside the others to its question
  const score = ([measure, value, unscored, reason, isWrong]) => {
    const fault = faults.get(measure);
    const made = value === null
      ? element("li", `${measure}: unscored`, "unscored")
      : element(
        "li",
        fault ? `${measure}: ${fault}` : `${measure} ${Number(value.toFixed(2))}`,
        isWrong ? "wrong" : "",
      );
    const why = value === null ? unscored : reason;
    if (why) made.title = why;
    return made;
  };
  const reasons = (answer) => {
    const given = answer.scores.filter(([, value, unscored, reason]) => (value === null ? unscored : reason));
    const details = element("details");
    details.append(element("summary", "The judges' reasons"));
    const terms = element("dl");
    for (const [measure, value, unscored, reason] of given) {
      terms.append(element("dt", measure), element("dd", value === null ? unscored : reason));
    }
    details.append(terms);
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
  const textOf = (answer, other) => {
    const parts = other ? wordDiff(other.text, answer.text) : null;
    const made = element("div", parts ? "" : answer.text, "text");
    if (parts) made.append(...parts.map(([kind, words]) => element(kind, words)));
    if (other && !parts) made.append(element("p", "Too long for a word diff.", "none"));
    return made;
  };
  const card = (answer, other) => {
    const made = element("article", undefined, answer.id === chosen ? "card chosen" : "card");
    const about = element("p", `${finish(answer)} · `, "aside");
    const link = element("a", "link", "link");
    link.href = linkTo({ answer: answer.id });
    about.append(element("code", answer.cell), " · ", link);
    made.append(element("h4", answer.label), about);
    if (prompt.checked) made.append(element("div", answer.prompt, "text prompt"));
    if (answer.text === null) {
      made.append(element("p", `No answer: ${answer.error ?? "no reason given"}`, "none"));
    }
    else if (answer.text === "") made.append(element("p", "The answer is empty.", "none"));
    else if (!raw.checked) made.append(textOf(answer, other?.text ? other : null));
    const written = answer.raw ?? answer.text;
    if (raw.checked && written) made.append(element("div", written, "text raw"));
    const scores = element("ul", undefined, "scores");
    // of detectors, what was found
    const told = answer.scores.filter(([measure, value, , , isWrong]) =>
      value === null || isWrong || !faults.has(measure));
    scores.append(...told.map(score));
    made.append(scores, ...reasons(answer));
    return made;
  };
  const showQuestion = (question, problem) => {
    const known = question ? [
      question.turn && `Turn ${question.turn}`,
      question.category && `Category: ${question.category}`,
      question.accepted.length && `Accepted: ${question.accepted.join(" · ")}`,
      question.reference && `Reference: ${question.reference}`,
    ].filter(Boolean) : [];
    const name = question ? `${question.item} · ${question.language}` : problem;
    at("asked").replaceChildren(
      element("p", name, "aside"),
      element("p", question?.instruction ?? ""),
      ...(known.length ? [element("p", known.join("\n"), "aside")] : []),
    );
  };
  const show = busily(async (id) => {
    chosen = id;
    for (const one of list.children) one.setAttribute("aria-selected", String(one.dataset.id === id));
    const row = list.querySelector("[aria-selected=true]");
    if (row) {
      // within the list: the page stays where its reader is
      const top = row.offsetTop - list.offsetTop;
      list.scrollTop = Math.min(top, Math.max(list.scrollTop, top + row.offsetHeight - list.clientHeight));
    }
    const place = listed.findIndex((answer) => answer.id === id);
    at("previous").disabled = place <= 0;
    at("next").disabled = place === listed.length - 1 && next === null;
    at("detail").hidden = id === null;
    let answers = [];
    let problem = id === null ? "" : `No answer is named ${id} here.`;
    try {
      if (id !== null) answers = await source.beside(id);
    } catch (error) {
      problem = error.message;
    }
    if (id !== chosen) return;
    showQuestion(answers[0]?.question, problem);
    const { against } = asked();
    const otherOf = (answer) =>
      answers.find((other) => other.method === against && other.model === answer.model && other !== answer);
    const inOrder = [...answers].sort((one, another) => (another.id === id) - (one.id === id));
    at("given").replaceChildren(
      ...inOrder.map((answer) => card(answer, answer.method === against ? null : otherOf(answer))));
  });
  const choose = async (id) => {
    chosen = id;
    write();
    await show(id);
  };
  const move = busily(async (by) => {
    const place = listed.findIndex((answer) => answer.id === chosen) + by;
    if (place === listed.length && next !== null) await load(next);
    if (listed[place]) await choose(listed[place].id);
  });

  // What a reader does
  const keys = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };
  at("browser").addEventListener("keydown", (event) => {
    const isOthers = event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, select");
    if (!(event.key in keys) || isOthers) return;
    event.preventDefault();
    move(keys[event.key]);
  });
  at("previous").addEventListener("click", () => move(-1));
  at("next").addEventListener("click", () => move(1));
  list.addEventListener("scroll", () => {
    if (next !== null && list.scrollTop + list.clientHeight > list.scrollHeight - 200) {
      const after = next;
      next = null; // asked for once
      load(after);
    }
  });
  for (const control of controls) {
    control.addEventListener(control.type === "search" ? "input" : "change", () => {
      chosen = null;
      write();
      reload(control.type === "search" && data.served ? 300 : 0);
    });
  }
  for (const control of [raw, prompt]) control.addEventListener("change", () => show(chosen));
  const follow = busily(async () => {
    if (!location.hash.startsWith("#answers?")) return;
    read();
    await reload();
    at("answers").scrollIntoView();
    list.focus({ preventScroll: true });
  });
  window.addEventListener("hashchange", follow);

  const options = (values, none) => [...(none ? [["", none]] : []), ...values.map((value) => [value, value])]
    .map(([value, text]) => Object.assign(element("option", text), { value }));
  const fill = () => {
    const { measure, ...facets } = { ...data.facets, against: data.facets.method };
    const control = (name) => controls.find(({ dataset }) => dataset.part === name);
    control("measure").replaceChildren(...options(measure));
    control("measure").parentElement.hidden = measure.length === 0;
    for (const [facet, values] of Object.entries(facets)) {
      control(facet).replaceChildren(...options(values, facet === "against" ? "nothing" : "all"));
      control(facet).parentElement.hidden = values.length < 2;
    }
    for (const option of control("sort").options) {
      option.hidden = ["worse", "better"].includes(option.value) && facets.method.length < 2;
    }
  };
  if (data.served || data.answers.length > 0) {
    fill();
    at("browser").hidden = false;
    if (location.hash.startsWith("#answers?")) follow();
    else {
      read();
      reload();
    }
  }
}
