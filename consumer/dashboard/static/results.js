// Shows the list of results. The browser has only the visible rows, and requests them from the
// server as a window. Texts are never interpreted as HTML.

// Returns the path of a bar in a chart that is 100 wide and 30 high.
function bar(share, at, count) {
  const width = 100 / count;
  const height = Math.max(1, share * 30);
  return `M${at * width + 1} 30v${-height}h${Math.max(1, width - 2)}v${height}z`;
}

export default {
  template: `
    <div class="results">
      <button v-if="until !== null" class="results-newer" @click="follow">
        {{ newer ? newer.toLocaleString() + ' newer' : 'to the newest' }} ↑
      </button>
      <div class="results-scroll" ref="scroll" role="grid" tabindex="0" aria-label="Results, newest first"
           :aria-rowcount="total" @scroll.passive="scrolled" @keydown="key">
        <div class="results-all" :style="{height: total * height + 'px'}">
          <div v-for="row in rows" :key="row.slot" class="result" role="row"
               :class="{'is-selected': row.index === selected, 'is-dead': row.dead, 'is-wrong': row.right === false}"
               :style="{top: row.index * height + 'px', height: height + 'px'}"
               :aria-rowindex="row.index + 1" :data-number="row.number" @click="open(row)">
            <span class="result-picture" role="gridcell">
              <img v-if="row.picture && !missing[row.picture]" :key="row.picture" :src="row.picture" alt="" width="36" height="36"
                   loading="lazy" @error="missing[row.picture] = true">
            </span>
            <template v-if="row.dead">
              <span class="result-label tag tag-dead" role="gridcell">{{ row.dead }}</span>
              <span class="result-why" role="gridcell">{{ row.message }}</span>
            </template>
            <template v-else>
              <span class="result-label" role="gridcell">
                <b class="kana" lang="ja">{{ row.hiragana }}</b> <span class="result-name">{{ row.label }}</span>
              </span>
              <svg class="result-bars" viewBox="0 0 100 30" role="img" preserveAspectRatio="none"
                   :aria-label="'probabilities of ' + row.bars.length + ' classes'">
                <path :d="row.others"></path><path class="best" :d="row.bar"></path>
              </svg>
              <span class="result-confidence" role="gridcell">{{ row.confidence }}</span>
              <span class="result-tags" role="gridcell">
                <i v-if="row.abstain" class="tag tag-abstain">unsure</i>
                <i v-if="row.outlier" class="tag tag-outlier">outlier</i>
                <i v-if="row.right === true" class="tag tag-right">✓ {{ row.truth }}</i>
                <i v-if="row.right === false" class="tag tag-wrong">✗ {{ row.truth }}</i>
              </span>
            </template>
            <span class="result-who" role="gridcell">
              <span :title="row.key">{{ row.key }}</span><small :title="row.worker">{{ row.worker }}</small>
            </span>
            <span class="result-when" role="gridcell">{{ row.latency }}<small>{{ row.place }}</small></span>
          </div>
        </div>
        <p v-if="!total" class="results-none">{{ empty }}</p>
      </div>
    </div>`,
  props: { empty: String },
  data() {
    return { height: 44, total: 0, rows: [], newest: 0, until: null, newer: 0, slots: 0, selected: 0, scrollTimer: 0, missing: {} };
  },
  mounted() {
    this.observer = new ResizeObserver(() => this.requestWindow());
    this.observer.observe(this.$refs.scroll);
  },
  beforeUnmount() {
    this.observer.disconnect();
  },
  methods: {
    // The server calls this with the rows of the requested window.
    show(window) {
      this.total = window.total;
      this.newest = window.newest;
      this.rows = this.withSlots(window.rows);
      this.newer = window.newer;
    },
    // A row that stays keeps its element. A new row takes the element of a removed row, which is
    // less work for the browser than a new element.
    withSlots(rows) {
      const before = new Map(this.rows.map((each) => [each.number, each.slot]));
      const kept = new Set(rows.map((each) => before.get(each.number)));
      const free = this.rows.map((each) => each.slot).filter((slot) => !kept.has(slot));
      return rows.map((row) => {
        const slot = before.get(row.number) ?? free.pop() ?? this.slots++;
        const bars = row.bars ?? [];
        return {
          ...row,
          slot,
          others: bars.map((share, at) => (at === row.best ? "" : bar(share, at, bars.length))).join(""),
          bar: row.best in bars ? bar(bars[row.best], row.best, bars.length) : "",
        };
      });
    },
    // The server calls this while older results are shown. Only the number of newer results changes.
    count(newer) {
      this.newer = newer;
    },
    requestWindow() {
      const top = this.$refs.scroll.scrollTop;
      const room = Math.ceil(this.$refs.scroll.clientHeight / this.height);
      const first = Math.max(0, Math.floor(top / this.height) - 5);
      this.$emit("window", { first, count: room + 10, until: this.until });
    },
    scrolled() {
      if (this.$refs.scroll.scrollTop < 2 && this.newer === 0) this.until = null;
      else if (this.until === null && this.$refs.scroll.scrollTop >= 2) this.until = this.newest;
      clearTimeout(this.scrollTimer);
      this.scrollTimer = setTimeout(() => this.requestWindow(), 40);
    },
    // The server calls this with the newest rows after the filter has changed.
    restart(window) {
      this.toTop();
      this.show(window);
    },
    follow() {
      this.toTop();
      this.requestWindow();
    },
    toTop() {
      this.until = null;
      this.newer = 0;
      this.selected = 0;
      this.$refs.scroll.scrollTop = 0;
    },
    open(row) {
      this.selected = row.index;
      this.$emit("chosen", row.number);
    },
    key(event) {
      const page = Math.max(1, Math.floor(this.$refs.scroll.clientHeight / this.height) - 1);
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.total, End: this.total };
      if (event.key === "Enter" || event.key === " ") {
        const row = this.rows.find((each) => each.index === this.selected);
        if (row) this.open(row);
      } else if (event.key in steps) {
        this.selected = Math.min(this.total - 1, Math.max(0, this.selected + steps[event.key]));
        const scroll = this.$refs.scroll;
        const top = this.selected * this.height;
        if (top < scroll.scrollTop) scroll.scrollTop = top;
        else if (top + this.height > scroll.scrollTop + scroll.clientHeight)
          scroll.scrollTop = top + this.height - scroll.clientHeight;
      } else return;
      event.preventDefault();
    },
  },
};
