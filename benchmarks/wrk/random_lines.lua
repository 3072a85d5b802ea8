-- Sends random lines of files: "METHOD<tab>path<tab>body", the body may be empty. Each file has its turn as often as
-- the others, however many lines it has. At the end prints one line of JSON.
-- BENCH_LINES: the files, ":" in between. BENCH_KEY: an API key, or empty.

local files, key = {}, os.getenv("BENCH_KEY")
local head = " HTTP/1.1\r\nHost: 127.0.0.1\r\n"
if key ~= "" then
  head = head .. "Authorization: Bearer " .. key .. "\r\n"
end

function init()
  for name in os.getenv("BENCH_LINES"):gmatch("[^:]+") do
    local lines = {}
    for line in io.lines(name) do
      lines[#lines + 1] = line
    end
    files[#files + 1] = lines
  end
  math.randomseed(os.time())
end

function request()
  local lines = files[math.random(#files)]
  local method, path, body = lines[math.random(#lines)]:match("^(%u+)\t([^\t]+)\t(.*)$")
  local start = method .. " " .. path .. head
  if body == "" then
    return start .. "\r\n"
  end
  return start .. "Content-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  local said = '{"requests": %d, "seconds": %.3f, "p50_ms": %.3f, "p99_ms": %.3f, "failed": %d}\n'
  io.write(said:format(summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, failed))
end
