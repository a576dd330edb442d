import { sliceCases } from './slice.cases.ts';

sliceCases(1, 200);
