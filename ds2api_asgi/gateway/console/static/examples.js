// A document to begin with for each protocol, with members that not every other protocol has.

const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

const REQUESTS = {
  "openai-chat": {
    model: "gpt-6",
    messages: [
      { role: "developer", content: "Answer in one sentence." },
      { role: "user", content: "Do I need an umbrella in Delft?" },
      {
        role: "assistant", content: null,
        tool_calls: [{ id: "call_1", type: "function", function: { name: "weather", arguments: '{"city":"Delft"}' } }],
      },
      { role: "tool", tool_call_id: "call_1", content: "Rain from noon." },
    ],
    tools: [{ type: "function", function: { name: "weather", description: "Today's weather", parameters: schema } }],
    seed: 7,
    logit_bias: { 50256: -100 },
    max_completion_tokens: 300,
  },
  "openai-responses": {
    model: "gpt-6",
    instructions: "Answer in one sentence.",
    input: [{ role: "user", content: [{ type: "input_text", text: "Do I need an umbrella in Delft?" }] }],
    tools: [{ type: "function", name: "weather", description: "Today's weather", parameters: schema, strict: true }],
    reasoning: { effort: "high", summary: "auto" },
    text: { verbosity: "low" },
    max_output_tokens: 300,
  },
  anthropic: {
    model: "claude-opus-5",
    max_tokens: 300,
    system: [{ type: "text", text: "Answer in one sentence.", cache_control: { type: "ephemeral" } }],
    messages: [
      { role: "user", content: "Do I need an umbrella in Delft?" },
      { role: "assistant", content: [{ type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Delft" } }] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1", content: "Rain from noon." }] },
    ],
    tools: [{ name: "weather", description: "Today's weather", input_schema: schema }],
    top_k: 40,
  },
  gemini: {
    systemInstruction: { parts: [{ text: "Answer in one sentence." }] },
    contents: [{ role: "user", parts: [{ text: "Do I need an umbrella in Delft?" }] }],
    tools: [{ functionDeclarations: [{ name: "weather", description: "Today's weather", parameters: schema }] }],
    safetySettings: [{ category: "HARM_CATEGORY_HARASSMENT", threshold: "BLOCK_ONLY_HIGH" }],
    generationConfig: { topK: 40, maxOutputTokens: 300, thinkingConfig: { thinkingBudget: 1024 } },
  },
  ollama: {
    model: "qwen3",
    messages: [
      { role: "system", content: "Answer in one sentence." },
      { role: "user", content: "Do I need an umbrella in Delft?" },
    ],
    tools: [{ type: "function", function: { name: "weather", description: "Today's weather", parameters: schema } }],
    options: { num_ctx: 8192, repeat_penalty: 1.1, num_predict: 300 },
    keep_alive: "10m",
    stream: false,
  },
};

/** The text of an example. */
export const example = (protocol) => JSON.stringify(REQUESTS[protocol], null, 2);
