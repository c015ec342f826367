/** The shape of policy documents, v1.0 and v2.0: keys, types, one line of explanation each. Knows no meaning. */
import { z } from 'zod';

const patterns = (what: string) => z.array(z.string()).optional().meta({ description: what });
const effect = z.enum(['allow', 'deny']);
const limit = z
  .string()
  .regex(/^[1-9]\d{0,8}\/[smh]$/, 'expected a rate such as 10/s, 60/m or 1000/h')
  .meta({ description: 'Calls per caller; only allowed calls consume it' });
const name = z.string().min(1).max(200).meta({ description: 'Shown in decisions, status and the audit log' });

const access = z.strictObject({
  allow: patterns('Patterns that admit'),
  deny: patterns('Patterns that refuse, whatever admits'),
});

const role = z.strictObject({
  inherits: z.array(z.string()).optional().meta({ description: 'Roles whose lists this role has too' }),
  allow: patterns('Tools this role may call; * stands for A-Za-z0-9_.-'),
  deny: patterns('Tools this role may not call, whatever allows them; * stands for anything'),
  resources: access.optional().meta({ description: 'Resource URIs; unmatched ones get the global default' }),
  prompts: access.optional().meta({ description: 'Prompt names; unmatched ones get the global default' }),
  limit: limit.optional(),
});

const toolRule = z.strictObject({
  match: z.string().meta({ description: 'Tool names the rule is for; * stands for anything' }),
  effect: z.literal('deny').optional().meta({ description: 'deny: the rule always denies' }),
  reason: z.string().min(1).max(500).optional().meta({ description: 'What the caller is told when the rule denies' }),
  limit: limit.optional(),
  arguments: z
    .record(z.string(), z.unknown())
    .optional()
    .meta({ description: 'JSON Schema 2020-12 for params.arguments' }),
  when: z.string().min(1).optional().meta({ description: 'CEL condition that must hold; an error denies' }),
});

const tenant = z.strictObject({
  roles: z.record(z.string(), role).meta({ description: 'Laid over the roles of the same name; others are added' }),
});

export const policyV1Schema = z.strictObject({
  version: z.literal('1.0'),
  name,
  default: effect.meta({ description: 'For tools on neither list' }),
  allow: patterns('Tools anyone may call'),
  deny: patterns('Tools nobody may call'),
});

export const policyV2Schema = z.strictObject({
  version: z.literal('2.0'),
  name,
  default: effect.meta({ description: 'For callers whose role is not below, and for unmatched resources and prompts' }),
  mode: z
    .enum(['enforce', 'shadow'])
    .default('enforce')
    .meta({ description: 'shadow: decide and record, let everything pass' }),
  denials: z
    .enum(['explain', 'hide'])
    .default('explain')
    .meta({ description: 'hide: a denied tool answers like one that does not exist' }),
  roles: z.record(z.string(), role).default({}),
  tools: z.array(toolRule).default([]).meta({ description: 'Every matching rule must pass, in order' }),
  tenants: z.record(z.string(), tenant).default({}),
});

export type PolicyV1 = z.output<typeof policyV1Schema>;
export type PolicyV2 = z.output<typeof policyV2Schema>;
export type RoleInput = z.output<typeof role>;
export type AccessInput = z.output<typeof access>;
export type ToolRuleInput = z.output<typeof toolRule>;

/** The keys of every mapping of the format, for "did you mean". */
export const POLICY_KEYS = {
  v1: Object.keys(policyV1Schema.shape),
  v2: Object.keys(policyV2Schema.shape),
  role: Object.keys(role.shape),
  access: Object.keys(access.shape),
  toolRule: Object.keys(toolRule.shape),
  tenant: Object.keys(tenant.shape),
} as const;
