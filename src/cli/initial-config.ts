/** The file that `init` writes. It is valid as it stands; what is commented out shows the defaults or an example. */
export const INITIAL_CONFIG = `# yaml-language-server: $schema=./gateway.schema.json
# Check this file with: mcp-gateway validate --config gateway.yaml
version: 1

server:
  # Only this machine can connect. Any other address needs "insecure: true" until callers have to authenticate.
  host: 127.0.0.1
  port: 8080
  # Browser pages that may call the gateway, exactly as browsers send their origin.
  allowedOrigins: []
  # publicUrl: https://gw.example.com/base
  # limits: { bodyBytes: 4MiB, sessions: 10000, inFlight: 1000 }
  # sessions: { resumeGrace: 2m, idleTimeout: 15m, ttl: 24h }

# Each upstream is served under a prefix: /example/sse and /example/mcp.
upstreams:
  # A bare URL is enough; its prefix is the label left of the public suffix.
  - https://mcp.example.com/sse

  # - url: https://api.example.org/v1/sse
  #   prefix: docs
  #   headers: { Authorization: "Bearer \${DOCS_TOKEN}" }
  #   timeouts: { connect: 5s, idle: 5m, total: 30m }

# More upstreams, one file each: dropping a file in adds a route.
# include: ["./upstreams.d/*.yaml"]

# The map of Claude or Cursor can be pasted as it is.
# mcpServers:
#   weather: { type: http, url: https://weather.example.net/mcp }

# The route that is also served at /sse and /mcp; implied when there is one upstream.
# default: example

logging: { level: info, format: auto }
`;
