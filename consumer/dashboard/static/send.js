// Sends files, drawings and samples to the topic. The server answers with their conversion to
// 28 x 28 pixels, or with an error.
const AT_ONCE = 4;

export default {
  template: `
    <div class="send">
      <div class="send-kinds" role="tablist" aria-label="What to send">
        <button v-for="each in kinds" :key="each" role="tab" :aria-selected="kind === each"
                :class="{chosen: kind === each}" @click="kind = each">{{ each }}</button>
      </div>
      <div v-show="kind === 'files'" role="tabpanel">
        <label class="drop" :class="{over: over}" @dragover.prevent="over = true" @dragleave="over = false"
               @drop.prevent="dropped">
          <input type="file" multiple :accept="accept" @change="chosen" class="drop-input" aria-label="Choose images">
          <span><b>Drop images here</b>, or choose them</span>
          <small>any size and colour: PNG, JPEG, WebP, …; or a ZIP of them</small>
        </label>
      </div>
      <div v-show="kind === 'draw'" role="tabpanel" class="draw">
        <canvas ref="canvas" width="280" height="280" aria-label="Draw a character here"
                @pointerdown="begin" @pointermove="stroke" @pointerup="end" @pointercancel="end"></canvas>
        <div class="row">
          <button class="button primary" @click="sendDrawing" :disabled="!drawn">Send drawing</button>
          <button class="button" @click="clear">Clear</button>
        </div>
      </div>
      <div v-show="kind === 'samples'" role="tabpanel">
        <div class="samples">
          <button v-for="sample in samples" :key="sample.name" class="sample" :title="sample.label"
                  :aria-label="'Send sample ' + sample.name + ', ' + sample.label" @click="sendSamples([sample.name])">
            <img :src="sample.url" alt="" width="40" height="40" loading="lazy">
          </button>
        </div>
        <button class="button" @click="sendSamples(samples.map((each) => each.name))">Send all {{ samples.length }}</button>
      </div>
      <p class="send-status" role="status" aria-live="polite">{{ status }}</p>
      <div class="turned" v-if="turned.length" aria-label="How pictures were turned into 28 x 28 pixels">
        <figure v-for="each in turned" :key="each.id" :title="each.name">
          <img v-if="each.before" :src="each.before" alt="as it was" height="48"><span aria-hidden="true">→</span>
          <img class="pixels" :src="each.after" alt="as it was sent" width="48" height="48">
          <figcaption>{{ each.name }}</figcaption>
        </figure>
      </div>
    </div>`,
  props: { samples: Array, format: String, mostFiles: Number },
  data() {
    return {
      kinds: ["files", "draw", "samples"],
      kind: "files",
      accept: "image/*,.zip,application/zip",
      over: false,
      drawn: false,
      drawing: false,
      status: "",
      turned: [],
      waiting: [],
      running: 0,
      sent: 0,
      refused: 0,
      drawings: 0,
    };
  },
  mounted() {
    this.clear();
  },
  methods: {
    dropped(event) {
      this.over = false;
      this.take([...event.dataTransfer.files]);
    },
    chosen(event) {
      this.take([...event.target.files]);
      event.target.value = "";
    },
    take(files) {
      if (files.length > this.mostFiles) {
        this.status = `At most ${this.mostFiles.toLocaleString()} files at once; put more into a ZIP.`;
        return;
      }
      if (!this.running) this.sent = this.refused = 0;
      for (const file of files) this.waiting.push({ name: file.name, body: file });
      this.next();
    },
    next() {
      while (this.running < AT_ONCE && this.waiting.length) {
        this.running += 1;
        this.post(this.waiting.shift()).finally(() => {
          this.running -= 1;
          this.next();
        });
      }
      const left = this.running + this.waiting.length;
      const refused = this.refused ? `, ${this.refused} could not be sent`: "";
      this.status = `${this.sent} sent${refused}` + (left ? `, ${left} to go` : "");
    },
    async post({ name, body }) {
      const query = new URLSearchParams({ name, format: this.format });
      try {
        const answer = await fetch(`/api/pictures?${query}`, { method: "POST", body });
        if (!answer.ok) throw new Error(await answer.text());
        this.showAnswer(await answer.json());
      } catch (error) {
        this.refused += 1;
        this.$emit("failed", { name, why: String(error.message || error) });
      }
    },
    showAnswer(answer) {
      this.sent += answer.sent;
      this.refused += answer.refused;
      const id = `${Date.now()}-${this.sent}-`;
      this.turned = [...answer.turned.map((each, at) => ({ id: id + at, ...each })), ...this.turned].slice(0, 12);
    },
    async sendSamples(names) {
      if (!this.running) this.sent = this.refused = 0;
      const body = JSON.stringify({ names, format: this.format });
      try {
        const answer = await fetch("/api/samples", { method: "POST", body, headers: { "Content-Type": "application/json" } });
        if (!answer.ok) throw new Error(await answer.text());
        this.showAnswer(await answer.json());
      } catch (error) {
        this.refused += names.length;
        for (const name of names) this.$emit("failed", { name, why: String(error.message || error) });
      }
      this.next();
    },
    clear() {
      const context = this.$refs.canvas.getContext("2d");
      context.fillStyle = "#fff";
      context.fillRect(0, 0, 280, 280);
      context.lineWidth = 18;
      context.lineCap = context.lineJoin = "round";
      context.strokeStyle = "#111";
      this.drawn = false;
    },
    point(event) {
      const box = this.$refs.canvas.getBoundingClientRect();
      return [((event.clientX - box.left) * 280) / box.width, ((event.clientY - box.top) * 280) / box.height];
    },
    begin(event) {
      this.$refs.canvas.setPointerCapture(event.pointerId);
      this.drawing = this.drawn = true;
      const context = this.$refs.canvas.getContext("2d");
      context.beginPath();
      context.moveTo(...this.point(event));
      this.stroke(event);
    },
    stroke(event) {
      if (!this.drawing) return;
      const context = this.$refs.canvas.getContext("2d");
      context.lineTo(...this.point(event));
      context.stroke();
    },
    end() {
      this.drawing = false;
    },
    sendDrawing() {
      this.drawings += 1;
      if (!this.running) this.sent = this.refused = 0;
      this.$refs.canvas.toBlob((body) => {
        this.waiting.push({ name: `drawing ${this.drawings}`, body });
        this.next();
      });
    },
  },
};
