-- authorize asks a forward-auth endpoint about the request, in the words of nginx, and sets txn.status,
-- txn.consumer and txn.challenge. Without an answer txn.status is 503.
core.register_action("authorize", { "http-req" }, function(txn, url)
  local headers = {}
  for name, values in pairs(txn.http:req_get_headers()) do
    local list = {}
    for i = 0, #values do
      list[#list + 1] = values[i]
    end
    headers[name] = list
  end
  for _, name in ipairs({ "connection", "content-length", "expect", "host", "transfer-encoding" }) do
    headers[name] = nil
  end
  headers["x-original-method"] = { txn.f:method() }
  headers["x-original-uri"] = { txn.f:pathq() }
  headers["x-original-host"] = { txn.sf:req_hdr("host") }
  local answer = core.httpclient():get({ url = url, headers = headers, timeout = 3000 })
  txn:set_var("txn.status", answer and answer.status ~= 0 and answer.status or 503)
  local told = answer and answer.headers or {}
  if told["x-consumer"] then
    txn:set_var("txn.consumer", told["x-consumer"][0])
  end
  if told["www-authenticate"] then
    txn:set_var("txn.challenge", told["www-authenticate"][0])
  end
end, 1)
