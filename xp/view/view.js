// Progress and SQL of `xp view`. As in the answers, all text enters through textContent.
{
  const POLL_MS = 2000;
  const { experiment } = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const json = async (path) => {
    const response = await fetch(path);
    const found = await response.json();
    if (!response.ok) throw new Error(found.error);
    return found;
  };

  // Progress
  const time = (seconds) => {
    if (seconds === null) return "";
    if (seconds < 90) return `${Math.round(seconds)} s`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
    return `${(seconds / 3600).toFixed(1)} h`;
  };
  const fill = (bar, done, total) => Object.assign(bar, { hidden: false, value: done, max: total || 1 });
  const row = (one) => {
    const made = element("tr");
    const rows = one.total === null ? `starting, ${time(one.seconds)}` : `${one.done} of ${one.total}`;
    const name = element("td", `${one.label} `);
    name.append(element("code", one.step));
    const shown = element("td");
    if (one.total !== null) {
      shown.append(fill(element("progress"), one.done, one.total));
      shown.firstChild.ariaLabel = `Rows of ${one.step}`;
    }
    const rate = one.rate === null ? "" : one.rate.toFixed(one.rate < 10 ? 1 : 0);
    made.append(
      name, element("td", rows), shown, element("td", rate, "number"),
      element("td", time(one.seconds_left), "number"),
    );
    return made;
  };
  const failure = (one) => {
    const made = element("li", `${one.label} `);
    const log = element("a", "log");
    log.href = `/logs/${encodeURIComponent(one.step)}`;
    made.append(element("code", one.step), ` failed: ${one.error ?? "no reason given"} · `, log);
    return made;
  };
  let loaded;
  const show = ({ holder, studies, ...now }) => {
    const study = studies.find((one) => one.experiment === experiment);
    loaded ??= now.loaded ?? 0;
    at("news").hidden = (now.loaded ?? 0) === loaded;
    if (!study) {
      const none = experiment ? "This study was not" : "Nothing was";
      at("state").textContent = holder ?? `${none} applied to this store.`;
      if (!experiment && studies.length) location.reload();
      return;
    }
    const left = study.seconds_left === null ? ""
      : `, ${study.is_whole ? "about" : "at least"} ${time(study.seconds_left)} left`;
    const idle = holder ? "an apply is at work" : "no apply is at work";
    const state = study.running.length ? `running${left}` : idle;
    at("state").textContent = `${study.n_done} of ${study.n_steps} steps done; ${state}.`;
    fill(at("steps"), study.n_done, study.n_steps);
    at("running").hidden = study.running.length === 0;
    at("running").tBodies[0].replaceChildren(...study.running.map(row));
    at("failed").hidden = study.failures.length === 0;
    at("failed").querySelector("ul").replaceChildren(...study.failures.map(failure));
  };
  const poll = async () => {
    try {
      show(await json("/progress"));
    } catch (error) {
      at("state").textContent = `xp view does not answer: ${error.message}`;
    }
    setTimeout(poll, POLL_MS);
  };

  // SQL
  const cell = (value) => {
    const made = element("td", typeof value === "object" && value ? JSON.stringify(value) : value ?? "–");
    if (typeof value === "number") made.className = "number";
    return made;
  };
  const run = async () => {
    at("said").textContent = "Running …";
    at("said").className = "";
    at("result").hidden = true;
    try {
      const found = await json(`/query?${new URLSearchParams({ sql: at("query").value })}`);
      const head = element("tr");
      const kind = (place) => found.rows.some((values) => typeof values[place] === "number") && "number";
      head.append(...found.columns.map((name, place) => element("th", name, kind(place))));
      at("result").tHead.replaceChildren(head);
      at("result").tBodies[0].replaceChildren(...found.rows.map((values) => {
        const made = element("tr");
        made.append(...values.map(cell));
        return made;
      }));
      at("result").hidden = false;
      at("said").textContent = found.is_cut
        ? `The first ${found.rows.length} rows; xp query gives all.`
        : `${found.rows.length} row${found.rows.length === 1 ? "" : "s"}`;
    } catch (error) {
      at("said").textContent = error.message;
      at("said").className = "warning";
    }
  };
  at("run").addEventListener("click", run);
  at("query").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
  });
  poll();
}
