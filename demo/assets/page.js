// A browser may keep whole pages for the back button, whatever the server says of caches. Chromium forgets
// them when a cookie changes, which signing out does; for all others: a page that comes back asks again.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// On a narrow screen the tour is one line that scrolls: it begins where the visitor is.
const here = document.querySelector("nav [aria-current]");
const tour = here?.closest("nav");
if (tour) tour.scrollLeft = here.offsetLeft - tour.offsetLeft - 20;
