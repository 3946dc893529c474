// OpenAI's own SDK against the gateway, with a token of our own as its key.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import OpenAI from 'openai'
import { apiKey, base, mint } from './given.mjs'

const token = await mint({ scope: 'model.invoke' })
const client = (path, key = token, more = {}) => new OpenAI({ apiKey: key, baseURL: base + path, ...more })
const hello = [{ role: 'user', content: 'good morning' }]
const weather = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: { text: { type: 'string' } } } } }]

for (const path of ['/v1', '/crossed/v1']) {
  test(`${path}: plain`, async () => {
    const answer = await client(path).chat.completions.create({ model: 'gpt-4o', messages: hello, max_tokens: 50 })
    assert.equal(answer.choices[0].message.content, 'Hello! You are consumer machines. You said: good morning')
    assert.equal(answer.choices[0].finish_reason, 'stop')
    assert.equal(answer.usage.prompt_tokens, 2)
  })

  test(`${path}: stream`, async () => {
    const stream = await client(path).chat.completions.create({ model: 'gpt-4o', messages: hello, stream: true, max_tokens: 50 })
    let text = '', used
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? ''
      used = chunk.usage ?? used
    }
    assert.equal(text, 'Hello! You are consumer machines. You said: good morning')
    assert.equal(used, undefined, 'usage that nobody asked for')
  })

  test(`${path}: stream with usage`, async () => {
    const stream = await client(path).chat.completions.create({ model: 'gpt-4o', messages: hello, stream: true, max_tokens: 50, stream_options: { include_usage: true } })
    let used
    for await (const chunk of stream) used = chunk.usage ?? used
    assert.equal(used.prompt_tokens, 2)
    assert.equal(used.total_tokens, used.prompt_tokens + used.completion_tokens)
  })

  test(`${path}: tools, there and back`, async () => {
    const ask = { model: 'gpt-4o', max_tokens: 50, tools: weather, messages: [{ role: 'user', content: 'weather please' }] }
    const first = await client(path).chat.completions.create(ask)
    assert.equal(first.choices[0].finish_reason, 'tool_calls')
    const [use] = first.choices[0].message.tool_calls
    assert.deepEqual(JSON.parse(use.function.arguments), { text: 'weather please' })
    const second = await client(path).chat.completions.create({ ...ask, messages: [...ask.messages, first.choices[0].message, { role: 'tool', tool_call_id: use.id, content: 'sunny' }] })
    assert.equal(second.choices[0].message.content, 'The tool said: sunny')
  })

  test(`${path}: tools, streamed`, async () => {
    const runner = client(path).chat.completions.stream({ model: 'gpt-4o', max_tokens: 50, tools: weather, messages: [{ role: 'user', content: 'weather please' }] })
    const answer = await runner.finalChatCompletion()
    assert.deepEqual(JSON.parse(answer.choices[0].message.tool_calls[0].function.arguments), { text: 'weather please' })
  })
}

test('abort ends the stream', async () => {
  const stream = await client('/v1').chat.completions.create({ model: 'demo', messages: hello, stream: true })
  let chunks = 0
  for await (const chunk of stream) if (++chunks === 2) stream.controller.abort()
  assert.ok(chunks < 5)
})

test('embeddings pass through', async () => {
  const answer = await client('/v1').embeddings.create({ model: 'demo', input: ['a b', 'c'], encoding_format: 'float' })
  assert.equal(answer.data.length, 2)
})

test('the model list is what the caller may call', async () => {
  const names = []
  for await (const model of client('/v1', apiKey).models.list()) names.push(model.id)
  assert.ok(names.every((name) => name.startsWith('gpt-')), names.join())
})

test('errors are the SDK\'s own', async () => {
  const ask = (key, model = 'demo') => client('/v1', key, { maxRetries: 0 }).chat.completions.create({ model, messages: hello })
  await assert.rejects(ask('not-a-key'), OpenAI.AuthenticationError)
  await assert.rejects(ask(token.slice(0, -3) + 'AAA'), OpenAI.AuthenticationError)
  await assert.rejects(ask(apiKey, 'demo'), OpenAI.PermissionDeniedError)
  await assert.rejects(client('/nowhere').chat.completions.create({ model: 'demo', messages: hello }), OpenAI.NotFoundError)
  await assert.rejects(ask(token, ''), OpenAI.BadRequestError)
})

test('a limit is the SDK\'s RateLimitError, and it does not sleep for hours', async () => {
  const ask = () => client('/v1', apiKey).chat.completions.create({ model: 'gpt-4o', messages: hello })
  await assert.rejects(async () => { for (let i = 0; i < 4; i++) await ask() }, (e) => e instanceof OpenAI.RateLimitError && e.code === 'consumer_limit')
})
