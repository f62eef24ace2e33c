// A session that ends leads here; where the person was stands behind the # and survives the way through the form.
const form = document.getElementById("login");
form.addEventListener("submit", () => {
  form.action = `login${location.hash}`;
  form.querySelector("button").disabled = true;
});
