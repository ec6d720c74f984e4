"use strict";
const { states, words } = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const ids = new Set(states.flatMap((s) => Object.keys(s.texts)));
let step = 0;

function show(k) {
  step = Math.max(0, Math.min(states.length - 1, k));
  const state = states[step];
  for (const id of ids) {
    const place = at(id);
    if (place) place.textContent = state.texts[id] ?? "";
  }
  for (const marked of document.querySelectorAll(".now, .done")) marked.classList.remove("now", "done");
  for (const id of state.done) at(id)?.classList.add("done");
  for (const id of [state.now, ...state.edges]) if (id) at(id)?.classList.add("now");
  at("words").textContent = words[step];
  at("count").textContent = `${step} of ${states.length - 1}`;
  at("slider").value = step;
  at("slider").setAttribute("aria-valuetext", words[step]);
}

function zoom(id) {
  for (const section of document.querySelectorAll(".zoom")) section.hidden = section.id !== `zoom-${id}`;
  at("zoom").showModal();
}

at("first").onclick = () => show(0);
at("previous").onclick = () => show(step - 1);
at("next").onclick = () => show(step + 1);
at("last").onclick = () => show(states.length - 1);
at("slider").oninput = (event) => show(Number(event.target.value));
at("back").onclick = () => at("zoom").close();
document.addEventListener("keydown", (event) => {
  if (at("zoom").open || event.target.id === "slider") return;
  const moves = { ArrowRight: step + 1, ArrowLeft: step - 1, Home: 0, End: states.length - 1 };
  if (event.key in moves) {
    event.preventDefault();
    show(moves[event.key]);
  }
});
for (const section of document.querySelectorAll(".zoom")) {
  const node = at(section.id.slice("zoom-".length));
  node.classList.add("zooms");
  node.setAttribute("tabindex", "0");
  node.setAttribute("role", "button");
  node.setAttribute("aria-label", "show this operation number by number");
  node.addEventListener("click", () => zoom(node.id));
  node.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      zoom(node.id);
    }
  });
}
show(0);
