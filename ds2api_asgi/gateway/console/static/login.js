// A session that ends leads here; where the person was stands behind the # and survives the way through the form.
const form = document.getElementById("login");
form.action = `login${location.hash}`;
form.addEventListener("submit", () => {
  form.querySelector("button").disabled = true;
});
