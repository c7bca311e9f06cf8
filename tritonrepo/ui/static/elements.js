// Elements are made from text alone: nothing that a server sends is ever read as HTML.

export function element(name, classes = "", text = "") {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  if (text) made.textContent = text;
  return made;
}

// A link only to the web: a document's URL may be any text, such as a script.
export function link(text, url) {
  let found = null;
  try {
    found = new URL(url);
  } catch {
    return element("span", "", text);
  }
  if (found.protocol !== "http:" && found.protocol !== "https:") return element("span", "", text);
  const made = element("a", "", text);
  made.href = found.href;
  made.target = "_blank";
  made.rel = "noopener noreferrer";
  return made;
}

export function fault(into, error) {
  into.replaceChildren(element("strong", "", error.message));
  if (error.hint) into.append(element("span", "", error.hint));
  into.hidden = false;
}

export function tensors(title, listed) {
  const table = element("table");
  table.append(element("caption", "", title));
  const head = table.createTHead().insertRow();
  for (const name of ["Tensor", "Type", "First values"]) {
    const cell = element("th", "", name);
    cell.scope = "col";
    head.append(cell);
  }
  const body = table.createTBody();
  for (const each of listed) {
    const row = body.insertRow();
    const name = element("th", "", each.name);
    name.scope = "row";
    if (each.tensor && each.tensor !== each.name) name.append(element("span", "quiet", each.tensor));
    row.append(name);
    row.insertCell().textContent = each.type ? `${each.type} [${each.shape.join(", ")}]` : "";
    const values = row.insertCell();
    values.className = "values";
    for (const value of each.first) values.append(element("code", "", value));
    if (each.more) values.append(element("span", "quiet", `and ${each.more.toLocaleString("en")} more`));
    if (!each.first.length) values.append(element("span", "quiet", "none"));
  }
  return table;
}
