import { conformanceSuite } from './suite';

conformanceSuite(['Q8_0', 'Q4_0', 'Q4_K', 'Q6_K']);
