// Draws a storm: a row for each request, from left to right the time it took.
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 880;
const ROW = 8;
const TOP = 26;

const shape = (name, attributes, text) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
};

/** Makes the picture. Requests are in the order in which the server got them. */
const picture = (requests) => {
  const rows = requests
    .map((request) => ({ ...request, start: Math.max(0, request.end - request.took) }))
    .toSorted((one, other) => one.start - other.start);
  const last = Math.max(...rows.map((row) => row.end), 1);
  const x = (time) => 4 + (time / last) * (WIDTH - 16);
  const bottom = TOP + rows.length * ROW;

  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${bottom + 20}`, role: "img", "aria-labelledby": "says" });
  const step = last > 2400 ? 500 : last > 900 ? 250 : 100;
  for (let time = 0; time <= last; time += step) {
    svg.append(shape("line", { class: "tick", x1: x(time), x2: x(time), y1: TOP - 6, y2: bottom }));
    svg.append(shape("text", { x: x(time), y: bottom + 15 }, `${time} ms`));
  }

  const first = rows.filter((row) => row.cookie).toSorted((one, other) => one.end - other.end)[0];
  if (first) {
    svg.append(shape("line", { class: "turn", x1: x(first.end), x2: x(first.end), y1: TOP - 10, y2: bottom }));
    const atRight = x(first.end) > WIDTH * 0.7;
    const place = { x: x(first.end) + (atRight ? -6 : 6), y: TOP - 12, "text-anchor": atRight ? "end" : "start" };
    svg.append(shape("text", { class: "turn-name", ...place }, "the browser has another cookie"));
  }

  rows.forEach((row, index) => {
    const y = TOP + index * ROW;
    const group = shape("g", { class: row.frame ? "frame" : "fetch" });
    group.append(shape("title", {}, `Request ${row.number}: ${row.fate}`));
    const width = Math.max(2, x(row.end) - x(row.start));
    group.append(shape("rect", { class: `bar ${row.fate}`, x: x(row.start), y: y + 1, width, height: ROW - 3, rx: 1.5 }));
    if (row.cookie) group.append(shape("circle", { class: "cookie", cx: x(row.end), cy: y + ROW / 2 - 0.5, r: 3 }));
    svg.append(group);
  });
  return svg;
};

/** Makes the same as a table. */
const table = (requests) => {
  const element = document.createElement("table");
  const row = (parent, kind, cells) => {
    const line = parent.insertRow();
    for (const text of cells) line.append(Object.assign(document.createElement(kind), { textContent: text }));
  };
  row(element.createTHead(), "th", ["Request", "By", "Became", "After", "Cookie"]);
  const body = element.createTBody();
  for (const { number, frame, fate, end, cookie } of requests) {
    row(body, "td", [number, frame ? "frame" : "fetch", fate, `${Math.round(end)} ms`, cookie || "–"]);
  }
  return element;
};
