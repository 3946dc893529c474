// What the Go test that starts the gateway tells.
export const base = process.env.GATEWAY
export const issuer = new URL(base + '/acme/oauth2')
export const secret = process.env.CLIENT_SECRET
export const privateKey = process.env.CLIENT_PRIVATE_KEY // PKCS #8, PEM, ES256
export const apiKey = process.env.API_KEY
export const gateway = 'urn:acme:gateway'

// mint gets a token by a client's secret.
export async function mint(parameters = {}) {
  const answer = await fetch(issuer + '/token', {
    method: 'POST',
    headers: { authorization: 'Basic ' + Buffer.from('basic:' + secret).toString('base64') },
    body: new URLSearchParams({ grant_type: 'client_credentials', ...parameters }),
  })
  const reply = await answer.json()
  if (!answer.ok) throw new Error(JSON.stringify(reply))
  return reply.access_token
}
