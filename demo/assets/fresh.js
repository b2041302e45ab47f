// A browser may keep whole pages for the back button, whatever the server says of caches. Chromium forgets
// them when a cookie changes, which signing out does; for all others: a page that comes back asks again.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
