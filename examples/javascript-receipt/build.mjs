// Makes receipt.wasm of receipt.js and its world.

import { componentize } from "@bytecodealliance/componentize-js";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));

const { component } = await componentize({
  sourcePath: path("receipt.js"),
  witPath: path("wit"),
  worldName: "command",
  disableFeatures: ["http", "fetch-event"],
});
await writeFile(path("receipt.wasm"), component);
