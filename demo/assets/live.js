// Two lines to the server. Both end when the session does, and say so.
const show = (id, state, text) => {
  const line = document.getElementById(id);
  line.dataset.state = state;
  line.textContent = text;
};

const events = new EventSource("/live/events");
events.addEventListener("open", () => show("stream", "open", "open"));
events.addEventListener("cart", (event) => {
  document.getElementById("items").textContent = event.data;
});
events.addEventListener("ended", () => {
  events.close(); // or the browser would open it again
  show("stream", "ended", "ended: you are signed out");
});

const SIGNED_OUT = 4401;
const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live/socket`);
const wave = document.getElementById("wave");
socket.addEventListener("open", () => show("socket", "open", "open"));
socket.addEventListener("message", (event) => {
  document.getElementById("waves").textContent = event.data;
});
socket.addEventListener("close", (event) => {
  wave.disabled = true;
  show("socket", "ended", event.code === SIGNED_OUT ? "ended: you are signed out" : "ended");
});
wave.addEventListener("click", () => socket.send("wave"));
