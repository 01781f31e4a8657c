// Bits of a count and of a past token (src/ops/sample/record.ts).

const IN_PROMPT = 0x80000000u;
const OCCURRENCES = 0x7fffffffu;

const LAST_IN_PROMPT = 0x80000000u;
const IN_OUTPUT = 0x40000000u;
const PAST_TOKEN = 0xfffffu;

const NO_WINDOW = 0xffffffffu;
