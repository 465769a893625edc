// openai-node: promises, streams, the response beside the answer, and the streaming helper.

import OpenAI from 'openai';

import { PROMPT, serve } from './driver.mjs';

const messages = [{ role: 'user', content: PROMPT }];
const client = ({ url, retries }) => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'any', maxRetries: retries });

async function collect(chunks, seen) {
  for await (const chunk of chunks) {
    for (const choice of chunk.choices) {
      if (choice.delta.content) seen.pieces.push(choice.delta.content);
    }
  }
}

await serve({
  'answer.async': async (request, seen) => {
    const made = await client(request).chat.completions.create({ model: request.model, messages });
    seen.pieces.push(made.choices[0].message.content);
  },
  'answer.raw': async (request, seen) => {
    const call = client(request).chat.completions.create({ model: request.model, messages });
    const { data, response } = await call.withResponse();
    seen.more.verdict = response.headers.get('x-proveil-verdict');
    seen.pieces.push(data.choices[0].message.content);
  },
  'stream.async': async (request, seen) => {
    await collect(await client(request).chat.completions.create({ model: request.model, messages, stream: true }), seen);
  },
  'stream.helper': async (request, seen) => {
    const stream = client(request).chat.completions.stream({ model: request.model, messages });
    stream.on('content', (delta) => seen.pieces.push(delta));
    await stream.finalContent();
  },
  'embedding.async': async (request, seen) => {
    const made = await client(request).embeddings.create({ model: request.model, input: PROMPT });
    seen.more.vector = made.data[0].embedding;
  },
  'responses.async': async (request, seen) => {
    seen.pieces.push((await client(request).responses.create({ model: request.model, input: PROMPT })).output_text);
  },
  'models.async': async (request, seen) => {
    seen.more.ids = (await client(request).models.list()).data.map((model) => model.id);
  },
});
