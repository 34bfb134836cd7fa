"use strict";
// Draws /openapi.json: what is asked, what is answered.

const at = (id) => document.getElementById(id);

function made(tag, content, ...children) {
  const element = document.createElement(tag);
  if (content) element.textContent = content;
  element.append(...children);
  return element;
}

function shape(schema, all, depth = 0) {
  if (schema.$ref) return shape(all[schema.$ref.split("/").pop()], all, depth);
  if (schema.oneOf) return schema.oneOf.map((one) => shape(one, all, depth)).join("\nor ");
  if (schema.enum) return schema.enum.slice(0, 4).map((one) => JSON.stringify(one)).join(" | ") + (schema.enum.length > 4 ? " | …" : "");
  if (schema.const) return JSON.stringify(schema.const);
  if (Array.isArray(schema.type) && schema.type.includes("array")) {
    return `${shape({ ...schema, type: "array" }, all, depth)} or null`;
  }
  if (schema.type === "array") return schema.items ? `[${shape(schema.items, all, depth)}, …]` : "[…]";
  if (schema.properties) {
    const inner = "  ".repeat(depth + 1);
    const lines = Object.entries(schema.properties).map(([name, value]) => `${inner}${name}: ${shape(value, all, depth + 1)}`);
    return `{\n${lines.join("\n")}\n${"  ".repeat(depth)}}`;
  }
  return schema.format === "binary" ? "bytes" : [schema.type].flat().join(" or ");
}

function table(heads, rows) {
  const head = made("tr", "", ...heads.map((text) => Object.assign(made("th", text), { scope: "col" })));
  const body = rows.map((row) => made("tr", "", ...row.map((text) => made("td", text))));
  return made("table", "", made("thead", "", head), made("tbody", "", ...body));
}

function draw(path, method, operation, all) {
  const section = made("section", "", made("h2", "", made("code", `${method.toUpperCase()} ${path}`)), made("p", operation.summary));
  section.className = "path";
  if (operation.parameters) {
    section.append(table(["Query", "Meaning"], operation.parameters.map((one) => [one.name, one.description])));
  }
  if (operation.requestBody) section.append(table(["Body", "Shape"], shapes(operation.requestBody.content, all)));
  const good = Object.entries(operation.responses["200"].content);
  for (const [kind, content] of good) section.append(made("p", `200, ${kind}`), made("pre", shape(content.schema, all)));
  const others = Object.entries(operation.responses).filter(([status]) => status !== "200");
  const details = made("details", "", made("summary", "Other answers"));
  details.append(table(["Status", "Meaning"], others.map(([status, value]) => [status, value.description])));
  section.append(details);
  return section;
}

const shapes = (content, all) => Object.entries(content).map(([kind, value]) => [kind, shape(value.schema, all)]);

async function main() {
  const token = sessionStorage.getItem("kopal token");
  const response = await fetch("/openapi.json", { headers: token ? { Authorization: `Bearer ${token}` } : {} });
  if (!response.ok) {
    at("status").textContent = response.status === 401 ? "A token is needed: give it on the page first." : `The server says ${response.status}.`;
    return;
  }
  const about = await response.json();
  at("title").textContent = about.info.title;
  at("model").textContent = about.info.description;
  at("example").textContent = `curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' ${location.origin}/v1/predict\n` +
    `curl -F photo=@a.jpg -F photo=@b.jpg ${location.origin}/v1/predict\n` +
    `curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' ${location.origin}/v1/explain`;
  for (const [path, methods] of Object.entries(about.paths)) {
    for (const [method, operation] of Object.entries(methods)) at("paths").append(draw(path, method, operation, about.components.schemas));
  }
  at("status").textContent = "";
}

main().catch(() => { at("status").textContent = "The server cannot be reached."; });
