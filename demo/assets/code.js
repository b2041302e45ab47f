// Counts down what the server said. It decides nothing: the server does, when the code is used.
const box = document.querySelector("[data-left]");
if (box) {
  const left = document.getElementById("left");
  const rest = document.getElementById("rest");
  const ends = performance.now() + Number(box.dataset.left) * 1000;
  const timer = setInterval(() => {
    const seconds = Math.max(0, Math.ceil((ends - performance.now()) / 1000));
    left.textContent = seconds;
    rest.value = seconds;
    if (seconds === 0) {
      clearInterval(timer);
      box.classList.add("over");
    }
  }, 250);
}
