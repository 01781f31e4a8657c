import { conformanceSuite } from './suite';

conformanceSuite(['F32', 'F16']);
