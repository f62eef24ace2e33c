// Where a path such as messages[2].content[0].text stands in a text of JSON.

const SPACE = /[\s]*/y;
const STRING = /"(?:[^"\\]|\\.)*"/y;
const SCALAR = /[^\s,\]}]+/y;

/** ["messages", 2, "content", 0, "text"]; null where it is no such path. */
export function steps(path) {
  const found = [];
  const step = /(?:^|\.)([^.[\]]+)|\[(\d+)\]/y;
  while (step.lastIndex < path.length) {
    const match = step.exec(path);
    if (!match) return null;
    found.push(match[2] === undefined ? match[1] : Number(match[2]));
  }
  return found;
}

/** [start, end] of the value at the path, or of the nearest one around it; null when the text is no JSON. */
export function place(text, path) {
  const wanted = steps(path);
  if (!wanted) return null;
  let position = 0;
  let best = null;

  function eat(pattern) {
    pattern.lastIndex = position;
    const match = pattern.exec(text);
    if (!match) throw new SyntaxError(`nothing fits at ${position}`);
    position = pattern.lastIndex;
    return match[0];
  }

  const space = () => eat(SPACE);

  /** `depth`: how many steps of the path lead here; -1: this is beside it. */
  function value(depth) {
    space();
    const start = position;
    const mark = best;
    if (text[position] === "{") members(depth, "}", true);
    else if (text[position] === "[") members(depth, "]", false);
    else if (text[position] === '"') eat(STRING);
    else eat(SCALAR);
    // The innermost one on the path wins: it was found while this one was read.
    if (depth >= 0 && best === mark) best = [start, position];
  }

  function members(depth, end, named) {
    position += 1;
    space();
    for (let index = 0; text[position] !== end; index += 1) {
      if (index) {
        if (text[position] !== ",") throw new SyntaxError(`a comma is missing at ${position}`);
        position += 1;
        space();
      }
      let name = index;
      if (named) {
        name = JSON.parse(eat(STRING));
        space();
        position += 1; // the colon
      }
      value(depth >= 0 && wanted[depth] === name ? depth + 1 : -1);
      space();
    }
    position += 1;
  }

  try {
    value(0);
    return best;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
