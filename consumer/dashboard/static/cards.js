// Shows a card for each worker, with buttons that stop or kill the worker.
export default {
  template: `
    <div class="cards">
      <article v-for="card in cards" :key="card.identity" class="card" :class="'is-' + card.state"
               :data-worker="card.name" :data-state="card.state">
        <div class="card-head"><span>{{ card.name }}</span><span>{{ card.state }}</span></div>
        <div v-if="card.why" class="card-why">{{ card.why }}</div>
        <div class="card-facts"><span v-for="fact in card.facts" :key="fact">{{ fact }}</span></div>
        <div v-if="card.stages" class="card-facts">{{ card.stages }}</div>
        <div v-if="card.state !== 'gone'" class="row">
          <button class="button" :disabled="card.state === 'leaving'" @click="$emit('act', { what: 'stop', name: card.name })">Stop gently</button>
          <button class="button" @click="$emit('act', { what: 'kill', name: card.name })">kill -9</button>
        </div>
      </article>
    </div>`,
  props: { cards: Array },
};
