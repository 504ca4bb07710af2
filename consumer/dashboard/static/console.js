// Shows commands with their output, the newest first.
export default {
  template: `
    <div class="console" role="log" aria-label="Commands that were run">
      <p v-if="!entries.length" class="soft">No command has run yet. Each button's action appears here as a command.</p>
      <div v-for="entry in entries" :key="entry.number" class="console-entry">
        <div class="console-command"><span>$ {{ entry.command }}</span>
          <span class="row"><span class="soft">{{ entry.state }}</span>
          <button class="button" @click="copy(entry)" :aria-label="'Copy ' + entry.command">{{ copied === entry.number ? 'Copied' : 'Copy' }}</button></span></div>
        <pre v-if="entry.output" class="console-output">{{ entry.output }}</pre>
      </div>
    </div>`,
  props: { entries: Array },
  data: () => ({ copied: null }),
  methods: {
    async copy(entry) {
      try {
        await navigator.clipboard.writeText(entry.command);
      } catch {
        // If the page may not write to the clipboard, the deprecated command still works.
        const area = document.createElement("textarea");
        area.value = entry.command;
        document.body.append(area);
        area.select();
        document.execCommand("copy");
        area.remove();
      }
      this.copied = entry.number;
    },
  },
};
