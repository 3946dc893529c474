// Anthropic's own SDK against the gateway.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import { base, mint } from './given.mjs'

const token = await mint({ scope: 'model.invoke' })
const client = (authToken = token, more = {}) => new Anthropic({ authToken, apiKey: null, baseURL: base + '/anthropic', ...more })
const ask = { model: 'claude-demo', max_tokens: 50, messages: [{ role: 'user', content: 'good morning' }] }
const tools = [{ name: 'weather', input_schema: { type: 'object', properties: { text: { type: 'string' } } } }]

test('plain', async () => {
  const answer = await client().messages.create(ask)
  assert.equal(answer.content[0].text, 'Hello! You are consumer machines. You said: good morning')
  assert.equal(answer.stop_reason, 'end_turn')
})

test('stream', async () => {
  const answer = await client().messages.stream(ask).finalMessage()
  assert.equal(answer.content[0].text, 'Hello! You are consumer machines. You said: good morning')
  assert.ok(answer.usage.output_tokens > 1)
})

test('tools, there and back', async () => {
  const first = await client().messages.stream({ ...ask, tools, messages: [{ role: 'user', content: 'weather please' }] }).finalMessage()
  assert.equal(first.stop_reason, 'tool_use')
  const use = first.content.find((block) => block.type === 'tool_use')
  assert.deepEqual(use.input, { text: 'weather please' })
  const second = await client().messages.create({ ...ask, tools, messages: [
    { role: 'user', content: 'weather please' }, { role: 'assistant', content: first.content },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: 'sunny' }] },
  ] })
  assert.equal(second.content[0].text, 'The tool said: sunny')
})

test('abort ends the stream', async () => {
  const stream = client().messages.stream(ask)
  let events = 0
  await assert.rejects(async () => { for await (const event of stream) if (++events === 3) stream.abort() }, Anthropic.APIUserAbortError)
})

test('errors are the SDK\'s own', async () => {
  await assert.rejects(client('not-a-token', { maxRetries: 0 }).messages.create(ask), (e) => e instanceof Anthropic.AuthenticationError && e.error.type === 'error')
  await assert.rejects(client(token, { maxRetries: 0 }).messages.create({ ...ask, max_tokens: undefined }), Anthropic.BadRequestError)
})
