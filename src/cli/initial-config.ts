/** The files that `init` writes. They are valid as they stand; what is commented out shows the defaults or an example. */
export const INITIAL_CONFIG = `# yaml-language-server: $schema=./gateway.schema.json
# Check this file with: mcp-gateway validate --config gateway.yaml
version: 1

server:
  # Only this machine can connect. Any other address needs "insecure: true" or "auth" below.
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
  - url: https://mcp.example.com/sse
    # Which rules hold, and which role callers have to whom authentication gives none.
    policy: basic
    role: user

  # - url: https://api.example.org/v1/sse
  #   prefix: docs
  #   policy: basic
  #   headers: { Authorization: "Bearer \${DOCS_TOKEN}" }
  #   timeouts: { connect: 5s, idle: 5m, total: 30m }

# More upstreams, one file each: dropping a file in adds a route.
# include: ["./upstreams.d/*.yaml"]

# The map of Claude or Cursor can be pasted as it is.
# mcpServers:
#   weather: { type: http, url: https://weather.example.net/mcp }

# Who may use what. See what a rule does with: mcp-gateway explain --route example --tool NAME
policies:
  basic: ./policies/basic.yaml

# At most 600 calls a minute for each caller.
rateLimits:
  limits:
    - { name: per-caller, per: [principal], limit: 600/m }

# Who callers are. Without this section everyone is anonymous.
# auth:
#   anonymous: { role: guest }
#   apiKeys:
#     - { name: ci, sha256: "\${CI_KEY_SHA256}", role: user }

# Every decision, in a file that shows if it was changed. Check it with: mcp-gateway audit verify audit/audit.jsonl
# audit: { file: ./audit/audit.jsonl, mode: best-effort, arguments: hash }

# The route that is also served at /sse and /mcp; implied when there is one upstream.
# default: example

logging: { level: info, format: auto }
`;

export const INITIAL_POLICY = `# A policy for mcp-gateway. The role of the caller decides; what it does not allow is denied.
version: "2.0"
name: Basic Policy
# For callers whose role is not below.
default: deny
# shadow: decide and record, but let everything pass.
mode: enforce

roles:
  admin:
    allow: ["*"]
    resources: { allow: ["*"] }
    prompts: { allow: ["*"] }
  user:
    inherits: [guest]
    allow: ["*"]
    # Deny beats allow.
    deny: ["delete_*", "*_admin_*"]
    resources: { allow: ["*"] }
    prompts: { allow: ["*"] }
  guest:
    allow: ["get_*", "list_*", "search_*"]

# Rules for single tools, whatever the role; every rule that matches must hold.
# tools:
#   - match: send_message
#     limit: 10/m
#     reason: messages are short
#     arguments:
#       properties: { text: { type: string, maxLength: 500 } }
#       required: [text]
`;
