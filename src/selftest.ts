/** The entry `tessera-llm/selftest`: every kernel variant on the user's GPU against the reference, apart from the SDK for its size. */
export { SELF_TEST_VARIANTS, type SelfTestRow, type SelfTestVariant, selfTest } from './model/selftest';
export { type KernelVariantRow, type Slice, testKernelVariants } from './model/test_variants';
