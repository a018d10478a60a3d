-- Asks Latchkey about a request: "http-request lua.latchkey URL SECONDS" in haproxy.cfg. HAProxy 2.6 or newer.
--
-- After a yes, txn.latchkey_yes is true, and the variables below say who it is. After a no, the client has its answer
-- already. If this script fails, neither is so, and haproxy.cfg refuses the request.

local passed_on = { "latchkeytoken", "latchkeyscope", "latchkeyuser" }

-- What the client gets of a refusal.
local answered = { "www-authenticate", "latchkey-request-id", "correlation-id", "retry-after", "allow" }

-- What Latchkey gets of a request, besides its description. Each is sent as often as it came, so that a second
-- Authorization is refused. The body is not read.
local asked = { "authorization", "user-agent", "correlation-id", "host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto" }

local function values(headers, name)
    local list = {}
    local found = headers and headers[name]
    if found then
        local i = 0
        while found[i] ~= nil do
            list[#list + 1] = found[i]
            i = i + 1
        end
    end
    return list
end

local function refuse(txn, status, text, headers)
    local reply = txn:reply({ status = status, body = text })
    for _, name in ipairs(answered) do
        for _, value in ipairs(values(headers, name)) do
            reply:add_header(name, value)
        end
    end
    reply:add_header("content-type", "text/plain; charset=utf-8")
    reply:add_header("cache-control", "no-store")
    txn:done(reply)
end

core.register_action("latchkey", { "http-req" }, function(txn, url, seconds)
    local came = txn.http:req_get_headers()
    local headers = {
        ["x-original-method"] = { txn.f:method() },
        ["x-original-uri"] = { txn.f:pathq() },
    }
    for _, name in ipairs(asked) do
        local list = values(came, name)
        if #list > 0 then
            headers[name] = list
        end
    end

    local answer = core.httpclient():get({ url = url, headers = headers, timeout = tonumber(seconds) * 1000 })
    local status = answer and answer.status or 0
    -- Every answer of Latchkey has an id. What has none is not from Latchkey, whatever it says.
    local id = values(answer and answer.headers, "latchkey-request-id")[1]
    if not id or (status ~= 200 and (status < 400 or status > 599)) then
        return refuse(txn, 503, "Credentials cannot be checked now.\n", nil)
    end
    if status ~= 200 then
        return refuse(txn, status, answer.body, answer.headers)
    end

    for _, name in ipairs(passed_on) do
        local value = values(answer.headers, name)[1]
        if value then
            txn:set_var("txn." .. name, value)
        end
    end
    local correlation = values(answer.headers, "correlation-id")[1]
    if correlation then
        txn:set_var("txn.latchkey_correlation_id", correlation)
    end
    txn:set_var("txn.latchkey_yes", true)
end, 2)
