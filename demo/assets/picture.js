// Draws a storm: a row for each request, from left to right. The thin line is the network, the bar is the server.
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
    .map((request) => ({ ...request, start: Math.max(0, request.end - request.all) }))
    .toSorted((one, other) => one.start + one.arrived - other.start - other.arrived);
  const last = Math.max(...rows.map((row) => row.end), 1);
  const x = (time) => 4 + (time / last) * (WIDTH - 16);
  const bottom = TOP + rows.length * ROW;

  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${bottom + 20}`, role: "img", "aria-labelledby": "says" });
  const step = last > 2400 ? 500 : last > 900 ? 250 : 100;
  for (let time = 0; x(time) < WIDTH - 40; time += step) {
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
    const middle = y + ROW / 2 - 0.5;
    group.append(shape("line", { class: `way ${row.fate}`, x1: x(row.start), x2: x(row.end), y1: middle, y2: middle }));
    const width = Math.max(4, x(row.start + row.left) - x(row.start + row.arrived));
    group.append(shape("rect", { class: `bar ${row.fate}`, x: x(row.start + row.arrived), y: y + 1, width, height: ROW - 3, rx: 1.5 }));
    if (row.cookie) group.append(shape("circle", { class: "cookie", cx: x(row.end), cy: middle, r: 3 }));
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
