import { sliceCases } from './slice.cases.ts';

sliceCases(201, 200);
