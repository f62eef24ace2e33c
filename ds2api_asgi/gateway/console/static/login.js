// A session that ends leads here; where the person was stands behind the # and survives the way through the form.
// No module, since modules come late: whoever types fast sends the form before them.
addEventListener("submit", (event) => {
  event.target.action = `login${location.hash}`;
  event.target.querySelector("button").disabled = true;
});
