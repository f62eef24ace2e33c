// What a pasted document is: its kind and its protocol, by the members that only one of them has.

const has = (value, name) => value !== null && typeof value === "object" && Object.hasOwn(value, name);

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The first document of a stream, of events or of lines; undefined where the text is none. */
function firstOfStream(text) {
  const start = text.trimStart();
  if (/^(event|data|id|retry)?:/.test(start)) {
    for (const line of start.split(/\r?\n/)) {
      const found = line.startsWith("data:") ? parsed(line.slice(5)) : undefined;
      if (found !== undefined) return found;
    }
    return null;
  }
  const lines = start.split(/\r?\n/).filter((line) => line.trim());
  if (lines.length > 1) {
    const first = parsed(lines[0]);
    if (first !== undefined && parsed(lines[1]) !== undefined) return first;
  }
  return undefined;
}

function byAnswer(document) {
  if (has(document, "choices")) return "openai-chat";
  if (has(document, "candidates") || has(document, "promptFeedback")) return "gemini";
  if (document?.object === "response" || String(document?.type ?? "").startsWith("response.")) return "openai-responses";
  if (/^(message|message_start|content_block_\w+|ping)$/.test(document?.type ?? "")) return "anthropic";
  if (has(document, "done")) return "ollama";
  return null;
}

function byError(document) {
  if (document.type === "error") return "anthropic";
  if (typeof document.error === "string") return "ollama";
  if (typeof document.error?.status === "string") return "gemini";
  return "openai-chat";
}

function byRequest(document) {
  if (has(document, "contents") || has(document, "systemInstruction")) return "gemini";
  if (has(document, "input") || has(document, "previous_response_id")) return "openai-responses";
  if (!has(document, "messages")) return null;
  const messages = Array.isArray(document.messages) ? document.messages : [];
  const tools = Array.isArray(document.tools) ? document.tools : [];
  const blocks = messages.flatMap((message) => (Array.isArray(message?.content) ? message.content : []));
  if (["options", "keep_alive", "think"].some((name) => has(document, name))) return "ollama";
  if (messages.some((message) => has(message, "images") || has(message, "tool_name"))) return "ollama";
  if (["system", "thinking", "stop_sequences", "top_k"].some((name) => has(document, name))) return "anthropic";
  if (tools.some((tool) => has(tool, "input_schema"))) return "anthropic";
  if (blocks.some((block) => /^(tool_use|tool_result|thinking|image|document)$/.test(block?.type))) return "anthropic";
  return "openai-chat";
}

/** {kind, source}, each null where nothing tells it. */
export function guess(text) {
  const document = parsed(text);
  if (document === undefined) {
    const first = firstOfStream(text);
    return first === undefined ? { kind: null, source: null } : { kind: "stream", source: first && byAnswer(first) };
  }
  if (Array.isArray(document)) return { kind: "stream", source: byAnswer(document[0]) };
  if (has(document, "error") && !has(document, "choices") && document.object !== "response") {
    return { kind: "error", source: byError(document) };
  }
  const answer = byAnswer(document);
  if (answer !== null) return { kind: "response", source: answer };
  const request = byRequest(document);
  return { kind: request && "request", source: request };
}
