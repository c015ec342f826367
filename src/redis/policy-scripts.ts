/** The three scripts of the policy shelf: each changes all it changes, or nothing. */
import { Script } from './script.js';

/** KEYS state, history, text if there is one, texts that go; ARGV expected revision, revision, rule, entry, text or '', cap. */
export const CHANGE = new Script(`
if (redis.call('HGET', KEYS[1], 'revision') or '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'rule', ARGV[3])
redis.call('LPUSH', KEYS[2], ARGV[4])
redis.call('LTRIM', KEYS[2], 0, tonumber(ARGV[6]) - 1)
local going = 3
if ARGV[5] ~= '' then
  redis.call('SET', KEYS[3], ARGV[5])
  going = 4
end
for index = going, #KEYS do redis.call('DEL', KEYS[index]) end
return 1
`);

/** KEYS state, history, text if there is one; ARGV revision, rule, entry, text or ''. Never takes the place of something newer. */
export const KEEP = new Script(`
local found = tonumber(redis.call('HGET', KEYS[1], 'revision') or '0') or 0
if found > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'revision', ARGV[1], 'rule', ARGV[2])
if ARGV[4] ~= '' then redis.call('SET', KEYS[3], ARGV[4]) end
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('LPUSH', KEYS[2], ARGV[3]) end
if found == tonumber(ARGV[1]) then return 0 end
return 1
`);

/** KEYS version; ARGV milliseconds since 1970. Grows over losses of the store too, so that no number comes twice. */
export const ANNOUNCE = new Script(`
local version = math.max((tonumber(redis.call('GET', KEYS[1]) or '0') or 0) + 1, tonumber(ARGV[1]))
redis.call('SET', KEYS[1], string.format('%.0f', version))
return version
`);
