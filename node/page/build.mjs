import { bundle, dist } from "./bundle.mjs";

bundle(dist);
