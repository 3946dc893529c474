// The identity half through standard clients: openid-client, oauth4webapi, jose.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as jose from 'jose'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { base, gateway, issuer, privateKey, secret } from './given.mjs'

const insecure = { [oauth.allowInsecureRequests]: true }
const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { ...insecure, algorithm: 'oauth2' }))
const key = await jose.importPKCS8(privateKey, 'ES256')

const ways = {
  client_secret_basic: ['basic', oauth.ClientSecretBasic(secret), openid.ClientSecretBasic(secret)],
  client_secret_post: ['post', oauth.ClientSecretPost(secret), openid.ClientSecretPost(secret)],
  client_secret_jwt: ['secret-jwt', oauth.ClientSecretJwt(secret), openid.ClientSecretJwt(secret)],
  private_key_jwt: ['key-jwt', oauth.PrivateKeyJwt(key), openid.PrivateKeyJwt(key)],
}

test('discovery says what is on', () => {
  assert.equal(server.issuer, issuer.href)
  for (const way of Object.keys(ways)) {
    assert.ok(server.token_endpoint_auth_methods_supported.includes(way), way)
    assert.ok(server.introspection_endpoint_auth_methods_supported.includes(way), way)
    assert.ok(server.revocation_endpoint_auth_methods_supported.includes(way), way)
  }
  assert.ok(server.dpop_signing_alg_values_supported.includes('ES256'))
  assert.ok(server.grant_types_supported.includes('client_credentials'))
})

for (const [way, [id, webapi, openidWay]] of Object.entries(ways)) {
  test(`oauth4webapi: ${way}: token, introspection, revocation`, async () => {
    const client = { client_id: id }
    const token = await oauth.processClientCredentialsResponse(server, client,
      await oauth.clientCredentialsGrantRequest(server, client, webapi, { scope: 'model.invoke' }, insecure))
    assert.equal(token.token_type, 'bearer')
    const active = await oauth.processIntrospectionResponse(server, client,
      await oauth.introspectionRequest(server, client, webapi, token.access_token, insecure))
    assert.equal(active.active, true)
    assert.equal(active.client_id, id)
    assert.equal(active.scope, 'model.invoke')
    await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, webapi, token.access_token, insecure))
    const gone = await oauth.processIntrospectionResponse(server, client,
      await oauth.introspectionRequest(server, client, webapi, token.access_token, insecure))
    assert.deepEqual(gone, { active: false })
  })

  test(`openid-client: ${way}: token, introspection, revocation`, async () => {
    const config = await openid.discovery(issuer, id, undefined, openidWay, { execute: [openid.allowInsecureRequests] })
    const token = await openid.clientCredentialsGrant(config, { scope: `${gateway}|model.invoke` })
    assert.equal(token.scope, 'model.invoke')
    assert.equal((await openid.tokenIntrospection(config, token.access_token)).active, true)
    await openid.tokenRevocation(config, token.access_token)
    assert.equal((await openid.tokenIntrospection(config, token.access_token)).active, false)
  })
}

test('a wrong secret is invalid_client', async () => {
  const config = await openid.discovery(issuer, 'basic', undefined, openid.ClientSecretBasic('wrong'), { execute: [openid.allowInsecureRequests] })
  await assert.rejects(openid.clientCredentialsGrant(config), (e) => e.error === 'invalid_client' || e.cause?.[0]?.scheme === 'basic')
})

const call = (token, headers = {}) => fetch(base + '/v1/chat/completions', {
  method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
  body: JSON.stringify({ model: 'demo', messages: [{ role: 'user', content: 'hello' }] }),
})

test('a revoked token is refused by the gateway on the next request', async () => {
  const client = { client_id: 'basic' }
  const way = oauth.ClientSecretBasic(secret)
  const token = await oauth.processClientCredentialsResponse(server, client,
    await oauth.clientCredentialsGrantRequest(server, client, way, { scope: 'model.invoke' }, insecure))
  assert.equal((await call(token.access_token)).status, 200)
  await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, way, token.access_token, insecure))
  const refused = await call(token.access_token)
  assert.equal(refused.status, 401)
  assert.match(await refused.text(), /JWT verification fails/)
})

test('jose verifies a token with the remote key set', async () => {
  const client = { client_id: 'basic' }
  const { access_token } = await oauth.processClientCredentialsResponse(server, client,
    await oauth.clientCredentialsGrantRequest(server, client, oauth.ClientSecretBasic(secret), { resource: gateway }, insecure))
  const keys = jose.createRemoteJWKSet(new URL(server.jwks_uri))
  const { payload } = await jose.jwtVerify(access_token, keys, { issuer: issuer.href, audience: gateway, typ: 'at+jwt', algorithms: ['ES256'] })
  assert.equal(payload.client_id, 'basic')
  await assert.rejects(jose.jwtVerify(access_token.slice(0, -4) + 'AAAA', keys), jose.errors.JWSSignatureVerificationFailed)
})

test('DPoP: oauth4webapi gets a bound token, and only who holds the key can use it', async () => {
  const client = { client_id: 'bound' }
  const way = oauth.ClientSecretBasic(secret)
  const dpop = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
  const grant = () => oauth.clientCredentialsGrantRequest(server, client, way, { scope: 'model.invoke' }, { ...insecure, DPoP: dpop })
  const once = async () => oauth.processClientCredentialsResponse(server, client, await grant())
  const token = await once().catch((e) => {
    if (!oauth.isDPoPNonceError(e)) throw e
    return once()
  })
  assert.equal(token.token_type, 'dpop')
  const ask = (handle, body) => oauth.protectedResourceRequest(token.access_token, 'POST', new URL(base + '/v1/chat/completions'),
    new Headers({ 'content-type': 'application/json' }), body, { ...insecure, DPoP: handle })
  const body = JSON.stringify({ model: 'demo', messages: [{ role: 'user', content: 'hello' }] })
  assert.equal((await ask(dpop, body)).status, 200)
  assert.equal((await call(token.access_token)).status, 401, 'as a bearer token')
  const thief = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
  await assert.rejects(ask(thief, body), undefined, 'with another key')
})

test('DPoP: openid-client, and none is none where it is required', async () => {
  const config = await openid.discovery(issuer, 'bound', undefined, openid.ClientSecretBasic(secret), { execute: [openid.allowInsecureRequests] })
  await assert.rejects(openid.clientCredentialsGrant(config))
  const handle = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair('ES256'))
  const token = await openid.clientCredentialsGrant(config, {}, { DPoP: handle })
  assert.equal(token.token_type, 'dpop')
  const answer = await openid.fetchProtectedResource(config, token.access_token, new URL(base + '/v1/models'), 'GET', undefined, undefined, { DPoP: handle })
  assert.equal(answer.status, 200)
})
