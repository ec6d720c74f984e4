"use strict";
const views = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const help = at("about").textContent;
const area = document.querySelector("main");
const boxes = views.map((view, k) => {
  const [x, y, w, h] = at(`view-${k}`).querySelector("svg").getAttribute("viewBox").split(/[ ,]+/).map(Number);
  return { x, y, w, h };
});
const shown = boxes.map(start);
let now = 0;

// Graphviz counts in points: at 4/3 pixels to a point letters have the size that they were given.
function start({ x, y, w, h }) {
  const { width, height } = area.getBoundingClientRect();
  const [wide, high] = [(width * 3) / 4, (height * 3) / 4];
  if (w <= wide && h <= high) return { x: x - (wide - w) / 2, y, w: wide, h: high };
  return { x: x + w / 2 - wide / 2, y, w: wide, h: high };
}

function place() {
  const { x, y, w, h } = shown[now];
  at(`view-${now}`).querySelector("svg").setAttribute("viewBox", `${x} ${y} ${w} ${h}`);
}

function show(k, focus) {
  now = k;
  views.forEach((view, i) => (at(`view-${i}`).hidden = i !== k));
  at("where").selectedIndex = k;
  at("back").disabled = views[k].parent === null;
  place();
  const node = focus && at(`v${k}-${focus}`);
  if (!node) return;
  const box = node.getBBox();
  const graph = node.parentNode.transform.baseVal.consolidate().matrix;
  shown[k] = start(boxes[k]);
  shown[k].x = box.x + box.width / 2 + graph.e - shown[k].w / 2;
  shown[k].y = box.y + box.height / 2 + graph.f - shown[k].h / 2;
  place();
  node.focus({ preventScroll: true });
}

function zoom(factor, px = 0.5, py = 0.5) {
  const box = shown[now];
  box.x += box.w * px * (1 - factor);
  box.y += box.h * py * (1 - factor);
  box.w *= factor;
  box.h *= factor;
  place();
}

function move(dx, dy) {
  shown[now].x += dx * shown[now].w;
  shown[now].y += dy * shown[now].h;
  place();
}

function fit() {
  shown[now] = { ...boxes[now] };
  place();
}

// Where one goes on reading: the first box of what was opened, or the box that was closed again.
function open(k) {
  show(k, views[k].first);
}

function close() {
  const { parent } = views[now];
  if (parent === null) return;
  const { opens } = views[parent];
  show(parent, Object.keys(opens).find((id) => opens[id] === now));
}

views.forEach((view, k) => {
  const svg = at(`view-${k}`).querySelector("svg");
  svg.removeAttribute("width");
  svg.removeAttribute("height");
  for (const [id, text] of Object.entries(view.spoken)) {
    const node = at(`v${k}-${id}`);
    if (!node) continue;
    const tell = () => (at("about").textContent = text);
    node.addEventListener("mouseenter", tell);
    node.addEventListener("focus", tell);
    node.addEventListener("mouseleave", () => (at("about").textContent = help));
    node.setAttribute("tabindex", "0");
    node.setAttribute("aria-label", text);
    if (id in view.opens) {
      node.classList.add("opens");
      node.setAttribute("role", "button");
      node.setAttribute("aria-expanded", "false");
      node.addEventListener("click", () => open(view.opens[id]));
      node.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          event.stopPropagation();
          open(view.opens[id]);
        }
      });
    }
  }
  for (const frame of svg.querySelectorAll(".cluster")) {
    if (view.parent === null) continue;
    const name = frame.querySelector("text");
    name.classList.add("closes");
    name.addEventListener("click", close);
  }
});

at("back").onclick = close;
at("in").onclick = () => zoom(0.8);
at("out").onclick = () => zoom(1.25);
at("fit").onclick = fit;
at("where").onchange = () => show(at("where").selectedIndex);

area.addEventListener("wheel", (event) => {
  event.preventDefault();
  const edge = area.getBoundingClientRect();
  zoom(event.deltaY < 0 ? 0.9 : 1 / 0.9, (event.clientX - edge.x) / edge.width, (event.clientY - edge.y) / edge.height);
}, { passive: false });
let held = null;
area.addEventListener("pointerdown", (event) => (held = [event.clientX, event.clientY]));
area.addEventListener("pointermove", (event) => {
  if (!held || !event.buttons) return;
  const edge = area.getBoundingClientRect();
  move((held[0] - event.clientX) / edge.width, (held[1] - event.clientY) / edge.height);
  held = [event.clientX, event.clientY];
});
area.addEventListener("pointerup", () => (held = null));

document.addEventListener("keydown", (event) => {
  if (event.target.id === "where") return;
  const typing = event.target.id === "search";
  if (event.key === "Escape") {
    if (typing) at("search").blur();
    else close();
  } else if (typing && event.key === "Enter") {
    document.querySelector("#found button")?.click();
  } else if (!typing) {
    const keys = {
      "+": () => zoom(0.8), "-": () => zoom(1.25), 0: fit, "/": () => at("search").focus(),
      ArrowLeft: () => move(-0.1, 0), ArrowRight: () => move(0.1, 0),
      ArrowUp: () => move(0, -0.1), ArrowDown: () => move(0, 0.1),
    };
    if (event.key in keys && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      keys[event.key]();
    }
  }
});

at("search").addEventListener("input", () => {
  for (const hit of document.querySelectorAll(".hit")) hit.classList.remove("hit");
  const wanted = at("search").value.trim().toLowerCase();
  const list = at("found");
  list.replaceChildren();
  if (!wanted) return;
  const seen = new Set();
  for (const k of [now, ...views.keys()]) {
    for (const [id, text] of Object.entries(views[k].spoken)) {
      if (!text.toLowerCase().includes(wanted)) continue;
      at(`v${k}-${id}`)?.classList.add("hit");
      if (seen.has(text) || list.childElementCount >= 50) continue;
      seen.add(text);
      const button = document.createElement("button");
      button.textContent = text;
      button.onclick = () => show(k, id);
      list.appendChild(document.createElement("li")).appendChild(button);
    }
  }
});
show(0);
