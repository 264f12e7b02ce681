/* Values at the cursor, zoom, and one time cursor for all charts of a run. The page is complete without. */
"use strict";
(() => {
  const html = (name, className, parent) => {
    const made = document.createElement(name);
    made.className = className;
    parent?.append(made);
    return made;
  };
  const shift = (node) => node.getAttribute("transform").match(/-?[\d.]+(?:e-?\d+)?/g).map(Number);
  const place = (node, x, y) => node.setAttribute("transform", `translate(${x},${y})`);
  let clips = 0;

  /* One plotting area of a drawing: what has to move when the horizontal axis shows another part. */
  const panel = (frame) => {
    const [width, height] = ["width", "height"].map((name) => Number(frame.getAttribute(name)));
    const area = frame.parentElement;
    const id = `clip-${++clips}`;
    const clip = document.createElementNS("http://www.w3.org/2000/svg", "clipPath");
    clip.id = id;
    clip.innerHTML = `<rect x="-2" y="-16" width="${width + 4}" height="${height + 20}"/>`;
    frame.before(clip);
    const stretched = [], moved = [];
    for (const mark of area.querySelectorAll(".stretched, .moved")) {
      const wrapper = document.createElementNS("http://www.w3.org/2000/svg", "g");
      wrapper.setAttribute("clip-path", `url(#${id})`);
      mark.replaceWith(wrapper);
      wrapper.append(mark);
      if (mark.matches(".stretched")) stretched.push(mark);
      else for (const each of mark.children) moved.push({ node: each, at: shift(each) });
    }
    const labels = area.querySelector(".places");
    return { frame, width, stretched, moved, labels, original: labels ? [...labels.children] : [] };
  };

  /* Labels of an axis: round values and their texts. */
  const round = (value) => String(Number(value.toPrecision(4)));
  const text = {
    linear: round,
    time: (ms) => ms < 0.9995 ? `${round(ms * 1000)} µs` : ms < 999.5 ? `${round(ms)} ms` : `${round(ms / 1000)} s`,
    percentile: (value) => `p${round(100 - 100 / value)}`,
  };
  const steps = (low, high, number) => {
    const rough = (high - low) / number, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((each) => each * power >= rough);
    const found = [];
    for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(k * step);
    return found;
  };
  const ticks = (scale, low, high, number) => {
    if (scale === "linear") return steps(low, high, number);
    const found = [];
    for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++)
      for (const digit of [1, 2, 5]) if (digit * 10 ** power >= low && digit * 10 ** power <= high) found.push(digit * 10 ** power);
    return found.length > 2 ? found : steps(low, high, number);
  };

  const chart = (figure) => {
    const data = JSON.parse(figure.dataset.readout);
    const to = data.scale === "linear" ? Number : Math.log, from = data.scale === "linear" ? Number : Math.exp;
    const all = [to(data.low), to(data.high)];
    const plot = figure.querySelector(".plot");
    const drawings = [...plot.querySelectorAll("svg")].map((svg) => ({
      svg, panels: [...svg.querySelectorAll(".panel")].map(panel),
    }));
    const line = html("div", "cursor", plot), box = html("div", "readout", plot), range = html("div", "range-box", plot);
    const reset = html("button", "reset", figure.querySelector("h3"));
    reset.type = "button";
    reset.textContent = "Reset zoom";
    const self = { figure, data, view: all, at: null };

    const area = () => {
      const shown = drawings.find((each) => each.svg.getClientRects().length);
      const frames = shown.panels.map((each) => each.frame.getBoundingClientRect());
      const outer = plot.getBoundingClientRect();
      return { left: frames[0].left - outer.left, width: frames[0].width, top: frames[0].top - outer.top,
        bottom: frames.at(-1).bottom - outer.top, outer };
    };
    const fraction = (value) => (to(value) - self.view[0]) / (self.view[1] - self.view[0]);
    const valueAt = (event) => {
      const { left, width, outer } = area();
      return from(self.view[0] + Math.min(Math.max((event.clientX - outer.left - left) / width, 0), 1) * (self.view[1] - self.view[0]));
    };
    const nearest = (value) => data.places.reduce((best, each, k) =>
      Math.abs(to(each) - to(value)) < Math.abs(to(data.places[best]) - to(value)) ? k : best, 0);

    self.show = (value) => {
      self.at = value === null ? null : nearest(value);
      const share = value === null ? -1 : fraction(data.places[self.at]);
      const visible = share >= 0 && share <= 1;
      line.hidden = box.hidden = !visible;
      if (!visible) return;
      const { left, width, top, bottom, outer } = area();
      const x = left + share * width;
      Object.assign(line.style, { left: `${x}px`, top: `${top}px`, height: `${bottom - top}px` });
      box.replaceChildren();
      html("strong", "", box).textContent = data.labels[self.at];
      for (const { label, colour, values } of data.rows) {
        const row = html("span", "", box);
        if (colour) html("i", "key area", row).style.setProperty("--key", `var(--${colour})`);
        row.append(`${label} `);
        html("b", "", row).textContent = values[self.at];
      }
      const isRight = share > 0.5;
      Object.assign(box.style, { top: `${top}px`, left: isRight ? "" : `${x + 8}px`, right: isRight ? `${outer.width - x + 8}px` : "" });
    };
    self.zoom = (view) => {
      self.view = view;
      const [start, end] = view, isAll = start === all[0] && end === all[1];
      const factor = (all[1] - all[0]) / (end - start);
      reset.hidden = isAll;
      figure.classList.toggle("zoomed", !isAll);
      for (const { width, stretched, moved, labels, original } of drawings.flatMap((each) => each.panels)) {
        const offset = -factor * width * (start - all[0]) / (all[1] - all[0]);
        for (const each of stretched) each.setAttribute("transform", `matrix(${factor} 0 0 1 ${offset} 0)`);
        for (const { node, at } of moved) place(node, at[0] * factor + offset, at[1]);
        if (!original.length) continue;
        labels.replaceChildren(...(isAll ? original : ticks(data.scale, from(start), from(end), width / 80).map((value) => {
          const label = original[0].cloneNode();
          label.textContent = text[data.scale](value);
          label.setAttribute("text-anchor", "middle");
          place(label, width * (to(value) - start) / (end - start), shift(original[0])[1]);
          return label;
        })));
      }
      if (self.at !== null) self.show(data.places[self.at]);
    };

    const together = () => data.time ? charts.filter((each) => each.data.time && each.section === self.section) : [self];
    const showAll = (value) => together().forEach((each) => each.show(value));
    const zoomAll = (view) => together().forEach((each) => each.zoom(view));
    const around = (factor) => {
      const middle = self.at === null ? (self.view[0] + self.view[1]) / 2 : to(data.places[self.at]);
      const half = (self.view[1] - self.view[0]) * factor / 2;
      if (half > 1e-6 * (all[1] - all[0])) zoomAll([Math.max(all[0], middle - half), Math.min(all[1], middle + half)]);
    };
    let start = null;
    plot.addEventListener("pointerdown", (event) => { if (event.button === 0) start = valueAt(event); });
    plot.addEventListener("pointermove", (event) => {
      const value = valueAt(event);
      showAll(value);
      if (start === null || !(event.buttons & 1)) return;
      const { left, width, top, bottom } = area(), ends = [fraction(start), fraction(value)].sort((a, b) => a - b);
      range.hidden = false;
      Object.assign(range.style, { left: `${left + ends[0] * width}px`, width: `${(ends[1] - ends[0]) * width}px`, top: `${top}px`, height: `${bottom - top}px` });
    });
    const end = (event) => {
      const ends = [to(start ?? 1), to(valueAt(event))].sort((a, b) => a - b);
      if (start !== null && !range.hidden && (ends[1] - ends[0]) * area().width > 6 * (self.view[1] - self.view[0])) zoomAll(ends);
      range.hidden = true;
      start = null;
    };
    window.addEventListener("pointerup", (event) => { if (start !== null) end(event); });
    plot.addEventListener("pointercancel", () => { range.hidden = true; start = null; });
    plot.addEventListener("pointerleave", () => { if (start === null) showAll(null); });
    plot.addEventListener("dblclick", () => zoomAll(all));
    plot.addEventListener("blur", () => { box.removeAttribute("role"); showAll(null); });
    plot.addEventListener("keydown", (event) => {
      const last = data.places.length - 1, now = self.at ?? -1;
      const keys = {
        ArrowRight: () => showAll(data.places[Math.min(now + 1, last)]), ArrowLeft: () => showAll(data.places[Math.max(now - 1, 0)]),
        Home: () => showAll(data.places[0]), End: () => showAll(data.places[last]),
        "+": () => around(0.5), "-": () => around(2), Escape: () => zoomAll(all),
      };
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      box.setAttribute("role", "status");
      keys[event.key]();
    });
    reset.addEventListener("click", () => { zoomAll(all); plot.focus(); });
    plot.tabIndex = 0;
    plot.setAttribute("role", "group");
    plot.setAttribute("aria-label", `${figure.querySelector("title").textContent}: arrow keys for values, + and - to zoom, Escape for all`);
    self.section = figure.closest("section");
    line.hidden = box.hidden = range.hidden = reset.hidden = true;
    return self;
  };
  const charts = [...document.querySelectorAll("figure[data-readout]")].map(chart);
})();
