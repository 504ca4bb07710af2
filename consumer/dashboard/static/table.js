// Shows a table of texts, pictures and buttons. A cell is a text, or {text, mark, picture, act}.
export default {
  template: `
    <div class="scroll-x"><table class="plain">
      <thead><tr><th v-for="name in columns" :key="name" scope="col">{{ name }}</th></tr></thead>
      <tbody>
        <tr v-for="row in rows" :key="row.key" :data-key="row.key">
          <td v-for="(cell, at) in row.cells" :key="at">
            <template v-if="cell !== null && typeof cell === 'object'">
              <img v-if="cell.picture" :src="cell.picture" alt="" width="36" height="36" class="pixels" loading="lazy">
              <button v-else-if="cell.act" class="button" :disabled="cell.disabled" @click="$emit('act', { key: row.key, what: cell.act })">{{ cell.text }}</button>
              <span v-else :class="'tag tag-' + cell.mark">{{ cell.text }}</span>
            </template>
            <template v-else>{{ cell }}</template>
          </td>
        </tr>
        <tr v-if="!rows.length"><td :colspan="columns.length" class="soft">none</td></tr>
      </tbody>
    </table></div>`,
  props: { columns: Array, rows: Array },
};
