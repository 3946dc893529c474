// The MCP SDK with its client-credentials provider: it finds our token endpoint by itself. The server behind is the SDK's own example.
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { ClientCredentialsProvider } from '@modelcontextprotocol/sdk/client/auth-extensions.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import * as jose from 'jose'
import { base, issuer, mint, secret } from './given.mjs'

const url = new URL(base + '/mcp')
const provider = new ClientCredentialsProvider({ clientId: 'basic', clientSecret: secret, expectedIssuer: issuer.href, scope: 'tools.call' })
const client = new Client({ name: 'test', version: '1' })
await client.connect(new StreamableHTTPClientTransport(url, { authProvider: provider }))
after(() => client.close())

test('the token is for this server', () => {
  assert.equal(jose.decodeJwt(provider.tokens().access_token).aud, url.href)
})

test('tools are listed and called as the consumer may', async () => {
  const { tools } = await client.listTools()
  const names = tools.map((tool) => tool.name)
  assert.ok(names.includes('echo'), names.join())
  assert.ok(names.every((name) => name === 'echo' || name.startsWith('get-')), names.join())
  const answer = await client.callTool({ name: 'echo', arguments: { message: 'hello' } })
  assert.match(answer.content[0].text, /hello/)
})

test('a tool that was not allowed is refused, and nothing else breaks', async () => {
  await assert.rejects(client.callTool({ name: 'trigger-long-running-operation', arguments: {} }))
  assert.ok((await client.listTools()).tools.length > 0)
})

const initialize = (headers, body) => fetch(url, {
  method: 'POST', headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
  body: body ?? JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 't', version: '1' } } }),
})

test('M05 M06, RFC 9728 §3.1, RFC 9728 §5.1: who has no token is told where to get one', async () => {
  const answer = await initialize({})
  assert.equal(answer.status, 401)
  assert.match(answer.headers.get('www-authenticate'), /resource_metadata="[^"]+\/\.well-known\/oauth-protected-resource\/mcp"/)
  const metadata = await (await fetch(base + '/.well-known/oauth-protected-resource/mcp')).json()
  assert.equal(metadata.resource, url.href)
  assert.deepEqual(metadata.authorization_servers, [issuer.href])
})

test('a token for somebody else, or without the scope, is refused', async () => {
  const other = await mint({ scope: 'model.invoke' })
  assert.notEqual((await initialize({ authorization: `Bearer ${other}` })).status, 200)
})

test('a duplicate member is refused', async () => {
  const token = await mint({ resource: url.href, scope: 'tools.call' })
  const twice = '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","name":"trigger-long-running-operation","arguments":{}}}'
  assert.equal((await initialize({ authorization: `Bearer ${token}` }, twice)).status, 400)
})
