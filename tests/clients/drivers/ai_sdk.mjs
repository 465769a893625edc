// The Vercel AI SDK with its provider for compatible endpoints. On an error the text stream of `streamText` ends without a word; the error is
// a part of the full stream and reaches `onError`.

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { embed, generateText, streamText } from 'ai';

import { PROMPT, serve } from './driver.mjs';

const provider = ({ url }) => createOpenAICompatible({ name: 'proveil', baseURL: `${url}/v1`, apiKey: 'any' });
const call = (request) => ({ model: provider(request)(request.model), prompt: PROMPT, maxRetries: request.retries });

await serve({
  'answer.async': async (request, seen) => {
    seen.pieces.push((await generateText(call(request))).text);
  },
  'stream.async': async (request, seen) => {
    for await (const part of streamText({ ...call(request), onError: () => {} }).fullStream) {
      if (part.type === 'error') throw part.error;
      if (part.type === 'text-delta') seen.pieces.push(part.text);
    }
  },
  'stream.callback': async (request, seen) => {
    let error;
    const result = streamText({ ...call(request), onError: (event) => (error = event.error) });
    for await (const text of result.textStream) seen.pieces.push(text);
    // Before the first piece there is no reason for an end, and asking for it would be an error of its own.
    const failed = seen.pieces.length ? (await result.finishReason) === 'error' : error !== undefined;
    if (failed) throw error;
  },
  'embedding.async': async (request, seen) => {
    const model = provider(request).embeddingModel(request.model);
    seen.more.vector = (await embed({ model, value: PROMPT, maxRetries: request.retries })).embedding;
  },
});
